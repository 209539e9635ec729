// Which jobs the stages show, and what of them the rest of the page asks for.

export const onShow = { picture: null }; // the picture that was shown last, with its task, facts and seed

export const stages = {}; // what shows a job, by task, as soon as its stage is drawn
export const asked = {}; // jobs to be shown then

// Shows a job in a task's stage.
export function showJob(task, job) {
  delete asked[task];
  if (stages[task]) stages[task](job);
  else asked[task] = job;
}

const percents = {}; // of running jobs, by task, the newest last

// The browser tab's title says how far the newest running job is.
export function titlePage(task, part) {
  delete percents[task];
  if (part !== null) percents[task] = part;
  const last = Object.values(percents).pop();
  document.title = last === undefined ? "Easel" : `${last}% · Easel`;
}

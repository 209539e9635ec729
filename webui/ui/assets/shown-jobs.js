// Which jobs the stages show, and what of them the rest of the page asks for.

/**
 * The picture that was shown last, with its task, facts and seed.
 * @type {{ picture: any }}
 */
export const onShow = { picture: null };

/**
 * What shows a job, by task, as soon as its stage is drawn.
 * @type {Record<string, (job: string) => void>}
 */
export const stages = {};
/**
 * Jobs to be shown then.
 * @type {Record<string, string>}
 */
export const asked = {};

/**
 * Shows a job in a task's stage.
 * @param {string} task
 * @param {string} job
 */
export function showJob(task, job) {
  delete asked[task];
  if (stages[task]) stages[task](job);
  else asked[task] = job;
}

/**
 * Of running jobs, by task, the newest last.
 * @type {Record<string, number>}
 */
const percents = {};

/**
 * The browser tab's title says how far the newest running job is.
 * @param {string} task
 * @param {number | null} part
 */
export function titlePage(task, part) {
  delete percents[task];
  if (part !== null) percents[task] = part;
  const last = Object.values(percents).pop();
  document.title = last === undefined ? "Easel" : `${last}% · Easel`;
}

// Light or dark, and what the studio wants of both look and language where a visitor has chosen nothing.

import { asksForTheme } from "./gradio.js";
import { language, loadLanguage } from "./language.js";

export const theme = {
  studio: "system",
  choice() {
    // "light", "dark", "system", or "" for the studio's
    try {
      const pressed = localStorage.getItem("easel-dark");
      return pressed !== null ? (pressed === "1" ? "dark" : "light") : localStorage.getItem("easel-look") || "";
    } catch {
      return "";
    }
  },
  choose(look) {
    try {
      localStorage.removeItem("easel-dark");
      localStorage.removeItem("easel-look");
      if (look === "dark" || look === "light") localStorage.setItem("easel-dark", look === "dark" ? "1" : "0");
      else if (look) localStorage.setItem("easel-look", look);
    } catch {
      /* private mode */
    }
    this.apply();
  },
  apply() {
    if (!document.body || asksForTheme()) return;
    const look = this.choice() || this.studio;
    const dark = look === "dark" || (look !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
    if (document.body.classList.contains("dark") !== dark) document.body.classList.toggle("dark", dark);
  },
};

// Asks what the studio wants. What it said the last time holds until it answers, so that nothing flashes.
export async function loadStudio() {
  const take = (told) => {
    theme.studio = told.look;
    language.studio = told.language;
    language.list = told.languages;
    theme.apply();
    return loadLanguage();
  };
  try {
    take(JSON.parse(localStorage.getItem("easel-studio")));
  } catch {
    /* the first visit */
  }
  try {
    const answer = await fetch("api/look", { cache: "no-store" });
    if (!answer.ok) return;
    const told = await answer.json();
    try {
      localStorage.setItem("easel-studio", JSON.stringify(told));
    } catch {
      /* private mode */
    }
    await take(told);
    language.ready = true;
  } catch {
    /* English, then */
  }
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => theme.apply());

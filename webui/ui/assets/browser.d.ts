// What the page adds to what TypeScript knows of browsers. For the checks alone: it is never sent.

interface Window {
  gradio_config: any; // of the page as it was drawn (webui/ui/gradio_adapter.py)
}

// Every element of ours is HTML's; which, the selector says. A property that no element has is still an error.
interface Element extends HTMLOrSVGElement, ElementCSSInlineStyle {
  readonly offsetParent: Element | null;
  hidden: boolean | string;
  value: any;
  click(): void;
  setAttribute(name: string, value: unknown): void; // browsers make a string of it
  readonly content?: any; // of <meta>
  easelFile?: any; // of a card in Models
  link?: any; // of a group in Settings: its name at the side
}

// What bubbles up to the document comes from an element; or from the document itself, so these are called with `?.`.
interface EventTarget {
  closest?(selectors: string): any;
  matches?: any;
}

interface Event {
  readonly detail?: any; // of our own events: "easel-pictures", "easel-language", ...
}

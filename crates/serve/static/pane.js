// One model's conversation: what was asked, what it answered, and words that are marked as false.

import { ask } from "./api.js";

function make(tag, className, text = "") {
  const node = document.createElement(tag);
  node.className = className;
  node.textContent = text;
  return node;
}

export class Pane {
  constructor(section) {
    this.section = section;
    this.heading = section.querySelector("h2");
    this.log = section.querySelector(".log");
    this.begin("");
  }

  /** Begins a conversation with a model. */
  begin(model) {
    this.model = model;
    this.heading.textContent = model;
    this.section.hidden = !model;
    this.messages = [];
    this.answer = null;
    this.log.replaceChildren();
  }

  /** Asks, and writes the answer while it comes. Returns whether there is a whole one. */
  async ask(question, picture, settings, signal) {
    const asked = make("div", "turn asked");
    asked.append(make("span", "who", "You"));
    const content = [{ type: "text", text: question }];
    if (picture) {
      const shown = make("img", "");
      shown.src = picture.shown;
      shown.alt = "The image that was asked about";
      asked.append(shown);
      content.unshift({ type: "image_url", image_url: { url: picture.url } });
    }
    asked.append(question);
    const turn = make("div", "turn");
    const words = make("span", "words");
    turn.append(make("span", "who", this.model), words);
    this.log.append(asked, turn);
    this.log.setAttribute("aria-busy", "true");
    const messages = [...this.messages, { role: "user", content }];
    let text = "";
    try {
      const body = { model: this.model, messages, ...settings };
      const reason = await ask(body, signal, (piece) => {
        text += piece;
        words.append(piece);
        this.log.scrollTop = this.log.scrollHeight;
      });
      if (reason === "length") turn.append(make("span", "who", "(cut at the longest length)"));
      if (!text) words.append("(nothing)");
      this.messages = [...messages, { role: "assistant", content: text }];
      this.answer = { text, turn, words };
      return true;
    } catch (error) {
      if (error.name === "AbortError") turn.append(make("span", "who", "(stopped)"));
      else turn.append(make("span", "failed", error.message));
      this.answer = null;
      return false;
    } finally {
      this.log.setAttribute("aria-busy", "false");
    }
  }

  /** Makes every word of the last answer a button that marks it as false. */
  offerMarks() {
    const { text, turn, words } = this.answer;
    const offer = make("button", "", "Mark false words");
    offer.type = "button";
    offer.addEventListener("click", () => {
      const parts = text.split(/(\s+)/).map((part) => {
        if (!part.trim()) return part;
        const word = make("button", "mark", part);
        word.type = "button";
        word.setAttribute("aria-pressed", "false");
        word.addEventListener("click", () => {
          word.setAttribute("aria-pressed", String(word.getAttribute("aria-pressed") === "false"));
        });
        return word;
      });
      words.replaceChildren(...parts);
      offer.remove();
      words.querySelector("button")?.focus();
    });
    turn.append(document.createElement("br"), offer);
  }

  /** The passages of the last answer that are marked: words beside each other are one. */
  marked() {
    const passages = [];
    let open = "";
    let between = "";
    for (const node of this.answer.words.childNodes) {
      const pressed = node.nodeType === Node.ELEMENT_NODE && node.getAttribute("aria-pressed") === "true";
      if (pressed) {
        open = open ? open + between + node.textContent : node.textContent;
        between = "";
      } else if (node.nodeType === Node.TEXT_NODE) {
        between = node.textContent;
      } else if (open) {
        passages.push(open);
        open = "";
      }
    }
    return open ? [...passages, open] : passages;
  }
}

// The page: what is written in one window, all windows show.
import { Json } from "@partd/codec-json";
import { Client } from "@partd/server/client";

interface Note {
  readonly text: string;
  readonly at: string;
}

const address = document.body.dataset.server ?? "";
const notes = new Json<Note>(new Client(address));
const list = document.querySelector("ul");
const form = document.querySelector("form");
const field = document.querySelector("input");

form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (!field?.value) return;
  await notes.append({ notes: [{ text: field.value, at: new Date().toISOString() }] });
  field.value = "";
  await show();
});

async function show(): Promise<void> {
  const items = (await notes.get("notes")).map(({ text, at }) => {
    const item = document.createElement("li");
    item.textContent = `${at.slice(11, 19)} ${text}`;
    return item;
  });
  list?.replaceChildren(...items);
}

/** Again and again: the connection comes back by itself when the server does. */
async function follow(): Promise<void> {
  await show();
  setTimeout(follow, 500);
}
await follow();

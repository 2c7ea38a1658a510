"use strict";

const at = (id) => document.getElementById(id);
const MOST_SHOWN = 24;
let index, asked = null, found = [], newest = 0;

const make = (tag, properties, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};

async function answer(url, options) {
  const response = await fetch(url, options);
  const content = await response.json().catch(() => ({}));
  if (response.ok) return content;
  throw new Error(typeof content.detail === "string" ? content.detail : `the server answered ${response.status}`);
}

function wanted() {
  const query = new URLSearchParams({ k: Math.min(MOST_SHOWN, index.images) });
  for (const choice of at("filters").querySelectorAll("select"))
    if (choice.value) query.append("where", `${choice.name}=${choice.value}`);
  return query;
}

async function search() {
  if (asked === null) return;
  const number = ++newest;
  at("status").textContent = "Searching …";
  const query = wanted();
  if (asked.row !== undefined) query.set("row", asked.row);
  try {
    const content = asked.file
      ? await answer(`/search?${query}`, { method: "POST", body: asked.file })
      : await answer(`/search?${query}`);
    if (number !== newest) return;
    found = content.found;
    show();
  } catch (error) {
    if (number !== newest) return;
    found = [];
    show();
    at("status").textContent = error.message;
  }
}

function showQuery() {
  const source = asked.file ? URL.createObjectURL(asked.file) : `/images/${asked.row}`;
  const picture = make("img", { src: source, alt: "" });
  picture.onload = () => URL.revokeObjectURL(source);
  picture.onerror = () => picture.remove();
  at("query").replaceChildren(picture, asked.name);
  at("asked-for").hidden = at("found").hidden = false;
}

function show() {
  const threshold = Number(at("threshold").value);
  const same = found.filter((image) => image.similarity >= threshold).length;
  at("threshold-value").textContent = threshold.toFixed(3);
  if (asked) at("status").textContent = `${found.length} found, ${same} of them the same`;
  at("results").replaceChildren(...found.map((image) => result(image, image.similarity >= threshold)));
}

function result(image, same) {
  const name = image.file.split("/").pop();
  const numbers = `distance ${image.distance.toFixed(3)}, similarity ${image.similarity.toFixed(3)}`;
  const picture = make("img", { src: `/images/${image.row}`, alt: "", loading: "lazy" });
  picture.onerror = () => picture.replaceWith(make("span", { className: "name" }, "(no picture: its file is gone or broken)"));
  const button = make("button", { type: "button", className: same ? "same" : "other", title: image.file },
    picture, make("span", { className: "name" }, name),
    make("span", { className: "numbers" }, `${numbers}${same ? ", same" : ""}`));
  button.setAttribute("aria-label", `${name}, ${numbers}, ${same ? "the same" : "not the same"}; search on`);
  button.onclick = () => ask({ row: image.row, name });
  return make("li", {}, button);
}

function ask(query) {
  asked = query;
  showQuery();
  search().then(() => at("results").focus({ preventScroll: true }));
}

function askForFile(file) {
  if (!file) return;
  if (file.size > index.most_bytes) {
    at("status").textContent = `${file.name} is larger than ${index.most_bytes / 1e6} MB`;
    return;
  }
  ask({ file, name: file.name });
}

function offerFilters() {
  for (const [column, values] of Object.entries(index.columns)) {
    const choice = make("select", { name: column, onchange: search }, make("option", { value: "" }, "all"),
      ...values.map((value) => make("option", { value }, value)));
    at("filters").append(make("label", {}, `${column} `, choice));
  }
}

function listen() {
  at("file").onchange = (event) => askForFile(event.target.files[0]);
  at("threshold").oninput = show;
  const drop = at("drop");
  for (const kind of ["dragover", "dragleave", "drop"])
    document.addEventListener(kind, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", kind === "dragover");
      if (kind === "drop") askForFile(event.dataTransfer.files[0]);
    });
  document.addEventListener("paste", (event) => askForFile(event.clipboardData.files[0]));
}

answer("/index").then((content) => {
  index = content;
  at("about").textContent = `${index.images.toLocaleString("en")} images, ${index.layout}`;
  at("threshold").value = index.threshold ?? 0.5;
  at("not-fitted").hidden = index.threshold !== null;
  offerFilters();
  listen();
  show();
}).catch((error) => { at("status").textContent = error.message; });

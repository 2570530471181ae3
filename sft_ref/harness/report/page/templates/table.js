"use strict";
// Sorts and filters the table of targets, and opens the report that a link points to.
const table = document.getElementById("targets");
if (table) {
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const filters = Array.from(document.querySelectorAll("[data-filter]"));
  const shown = document.getElementById("shown");
  const wanted = (name) => filters.find((each) => each.dataset.filter === name).value;
  const update = () => {
    const verdict = wanted("verdict"), stage = wanted("stages"), text = wanted("text").toLowerCase();
    let count = 0;
    for (const row of rows) {
      row.hidden = (verdict && row.dataset.verdict !== verdict)
        || (stage && !row.dataset.stages.split(",").includes(stage))
        || (text && !row.textContent.toLowerCase().includes(text));
      count += !row.hidden;
    }
    shown.textContent = `${count} shown`;
  };
  for (const each of filters) for (const event of ["input", "change"]) each.addEventListener(event, update);
  const heads = Array.from(table.tHead.rows[0].cells);
  heads.forEach((head, column) => {
    const button = head.querySelector("button");
    if (!button) return;
    button.addEventListener("click", () => {
      const descending = head.getAttribute("aria-sort") === "ascending";
      for (const each of heads) each.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const key = (row) => row.cells[column].textContent.trim();
      rows.sort((a, b) => key(a).localeCompare(key(b), undefined, {numeric: true}) * (descending ? -1 : 1));
      body.append(...rows);
    });
  });
}
// The reports of a large class are text until they are opened: as elements they would keep the page from opening.
const stored = document.getElementById("reports");
let reports = null;
const fill = (details) => {
  if (!details.dataset.report) return;
  reports ||= JSON.parse(stored.textContent);
  details.insertAdjacentHTML("beforeend", reports[details.dataset.report]);
  delete details.dataset.report;
};
const unfold = (details) => {
  fill(details);
  details.open = true;
};
const open = () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target instanceof HTMLDetailsElement) unfold(target);
};
document.addEventListener("toggle", (event) => fill(event.target), true);
addEventListener("hashchange", open);
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach(unfold));
open();

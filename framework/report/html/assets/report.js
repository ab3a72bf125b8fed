"use strict";
// Draws the figures from their JSON specifications and makes the results table sortable and filterable.

// plotly.js lies in the page packed; what is unpacked is a script of the page like any other.
async function unpackPlotly() {
  const packed = document.getElementById("plotly");
  if (!packed) return;
  const bytes = Uint8Array.from(atob(packed.textContent), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(stream).text();
  document.head.append(script);
  packed.remove();
}

function saveAs(name, blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

function figureCsv(data) {
  const lines = [["series", "x", "y", "text"]];
  for (const trace of data) {
    const length = Math.max(trace.x?.length ?? 0, trace.y?.length ?? 0);
    for (let i = 0; i < length; i += 1) {
      const text = Array.isArray(trace.text) ? trace.text[i] : "";
      lines.push([trace.name ?? "", trace.x?.[i], trace.y?.[i], text].map((value) => String(value ?? "")));
    }
  }
  return lines.map((line) => line.map(quoted).join(",")).join("\n") + "\n";
}

document.addEventListener("click", ({ target: button }) => {
  if (!button.matches("[data-save]")) return;
  const element = document.getElementById(button.dataset.plot);
  const { save: kind, plot: filename } = button.dataset;
  if (kind === "csv") saveAs(`${filename}.csv`, new Blob([figureCsv(element.data)], { type: "text/csv" }));
  else Plotly.downloadImage(element, { format: kind, filename, width: element.clientWidth, height: element.clientHeight, scale: kind === "png" ? 2 : 1 });
});

unpackPlotly().then(function drawFigures() {
  if (typeof Plotly === "undefined") return;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let plots = [];
  function readSpecs() {
    plots = [...document.querySelectorAll("script.spec")].map((spec) => {
      const { data, layout } = JSON.parse(spec.textContent);
      return { element: document.getElementById(spec.dataset.plot), data, layout };
    });
  }

  const MAX_LEGEND_ABOVE = 6;
  const ABOVE = { orientation: "h", yanchor: "bottom", y: 1.02, x: 0 };
  const BESIDE = { orientation: "v", yanchor: "top", y: 0.96, x: 1.02 };
  const BELOW = { orientation: "v", yref: "container", yanchor: "bottom", y: 0, x: 0 };
  const NARROW_PX = 480;

  function template(isDark, legend) {
    const ink = isDark ? "#e6e9ee" : "#1b1f27";
    const line = isDark ? "#363c47" : "#dfe3e9";
    const axis = { gridcolor: line, linecolor: line, zerolinecolor: line, ticks: "outside", tickcolor: line, automargin: true, title: { standoff: 8 } };
    return {
      layout: {
        paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
        font: { family: "system-ui, 'Segoe UI', Roboto, sans-serif", size: 12, color: ink },
        margin: { l: 64, r: 16, t: 16, b: 56 },
        hovermode: "closest",
        legend: { ...legend, bgcolor: "rgba(0,0,0,0)", groupclick: "toggleitem" },
        xaxis: axis, yaxis: axis,
      },
    };
  }

  // a long legend stands beside a plot of full width, or below one that has no room beside it; panels need the width, too
  function arrangement(element, data, layout, width) {
    const entries = data.filter((trace) => trace.name && trace.showlegend !== false).length;
    if ("xaxis2" in layout) element.closest("figure").classList.add("wide");
    if (entries <= MAX_LEGEND_ABOVE) return { legend: ABOVE, moreHeight: 0 };
    element.closest("figure").classList.add("wide");
    if ((width || element.clientWidth) > 800) return { legend: BESIDE, moreHeight: Math.max(0, entries * 21 - 320) };
    return { legend: BELOW, moreHeight: entries * 19 };
  }

  // on a phone an axis title is wider than its plot: what stands in brackets goes to a second line
  function withShortTitles(layout) {
    const shortened = Object.entries(layout).filter(([key, axis]) => key.startsWith("xaxis") && axis.title?.text)
      .map(([key, axis]) => [key, { ...axis, title: { ...axis.title, text: axis.title.text.replace(" (", "<br>(") } }]);
    return { ...layout, ...Object.fromEntries(shortened) };
  }

  function draw(isDark, width) {
    for (const { element, data, layout: given } of plots) {
      const layout = (width || element.clientWidth) < NARROW_PX ? withShortTitles(given) : given;
      const { legend, moreHeight } = arrangement(element, data, layout, width);
      const full = { template: template(isDark, legend), autosize: !width, ...layout };
      full.height = (layout.height || 420) + moreHeight;
      if (width) full.width = width;
      element.style.minHeight = "0"; // the room that is kept until now may be too much
      Plotly.react(element, data, full, { responsive: true, displayModeBar: false });
    }
  }

  const PAPER_WIDTH_PX = 660; // what an A4 or letter page has room for; a plot can't follow the paper by itself

  function drawAll() {
    readSpecs();
    draw(dark.matches);
  }

  drawAll();
  document.addEventListener("figures-added", drawAll); // of a page that changes
  dark.addEventListener("change", (event) => draw(event.matches));
  addEventListener("beforeprint", () => {
    document.querySelectorAll("#answer details").forEach((details) => { details.open = true; }); // paper can't open them
    draw(false, PAPER_WIDTH_PX);
  });
  addEventListener("afterprint", () => draw(dark.matches));
});

(function runTable() {
  const table = document.getElementById("runs");
  if (!table) return;
  const body = table.tBodies[0];
  const headers = [...table.tHead.rows[1].cells];
  const names = headers.map((cell) => cell.querySelector("button").firstChild.textContent.trim());
  const rows = [...body.rows].map((element) => {
    const texts = [...element.cells].map((cell) => cell.textContent);
    const values = [...element.cells].map((cell) => cell.dataset.v ?? cell.textContent);
    return { element, values, search: texts.join(" ").toLowerCase() };
  });
  const ABSENT = "–";

  function compare(a, b) {
    // absent values stay at the end whichever way the column is sorted
    if (a === ABSENT || b === ABSENT) return { order: (a === ABSENT) - (b === ABSENT), fixed: true };
    const x = Number(a), y = Number(b);
    const numeric = a !== "" && b !== "" && !Number.isNaN(x) && !Number.isNaN(y);
    return { order: numeric ? x - y : a.localeCompare(b), fixed: false };
  }

  headers.forEach((header, column) => header.querySelector("button").addEventListener("click", () => {
    const direction = header.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
    headers.forEach((other) => other.setAttribute("aria-sort", "none"));
    header.setAttribute("aria-sort", direction);
    const sign = direction === "ascending" ? 1 : -1;
    rows.sort((r, s) => {
      const { order, fixed } = compare(r.values[column], s.values[column]);
      return fixed ? order : sign * order;
    });
    body.append(...rows.map((row) => row.element));
  }));

  const operators = {
    "<": (a, b) => a < b, "<=": (a, b) => a <= b, ">": (a, b) => a > b, ">=": (a, b) => a >= b, "=": (a, b) => a === b,
  };

  function condition(term) {
    const parts = /^([\w.]+)(<=|>=|=|<|>)(.+)$/.exec(term);
    const column = parts ? names.indexOf(parts[1]) : -1;
    if (column < 0) return (row) => row.search.includes(term.toLowerCase());
    const limit = Number(parts[3]);
    return ({ values }) => {
      if (values[column] === ABSENT) return false;
      if (Number.isNaN(limit)) return parts[2] === "=" && values[column] === parts[3];
      return operators[parts[2]](Number(values[column]), limit);
    };
  }

  const filter = document.getElementById("filter");
  const shown = document.getElementById("shown");
  function applyFilter() {
    const conditions = filter.value.split(/\s+/).filter(Boolean).map(condition);
    let count = 0;
    for (const row of rows) {
      row.element.hidden = !conditions.every((holds) => holds(row));
      count += !row.element.hidden;
    }
    shown.textContent = count === rows.length ? "" : `${count} of ${rows.length} runs match`;
  }
  filter.addEventListener("input", applyFilter);

  document.querySelectorAll(".controls [data-group]").forEach((box) => box.addEventListener("change", () => {
    const columns = headers.flatMap((header, i) => (header.dataset.group === box.dataset.group ? [i] : []));
    const groups = [...table.tHead.rows[0].cells].filter((cell) => cell.dataset.group === box.dataset.group);
    for (const cell of groups) cell.hidden = !box.checked;
    for (const row of [table.tHead.rows[1], ...rows.map((row) => row.element)]) {
      for (const i of columns) row.cells[i].hidden = !box.checked;
    }
  }));

  document.getElementById("csv").addEventListener("click", () => {
    const quote = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
    const visible = rows.filter((row) => !row.element.hidden);
    const lines = [names, ...visible.map((row) => row.values.map((v) => (v === ABSENT ? "" : v)))];
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([lines.map((l) => l.map(quote).join(",")).join("\n") + "\n"], { type: "text/csv" }));
    link.download = "results.csv";
    link.click();
    URL.revokeObjectURL(link.href);
  });
})();

document.addEventListener("click", async ({ target: button }) => {
  if (!button.matches(".copy")) return;
  const code = button.parentElement.querySelector("code");
  try {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(code); // no clipboard on this page: select it for the reader
  }
});

// What a reader does with the results table, done at the end of a copy of the report; what it saw is left in #seen.
async function drawn() {
  const plots = [...document.querySelectorAll(".plot")];
  for (let i = 0; i < 100 && !plots.every((plot) => plot.querySelector(".main-svg")); i += 1) {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

addEventListener("load", async () => {
  await drawn(); // Plotly is unpacked after the page was loaded
  const heads = [...document.querySelectorAll("#runs thead tr:last-child th")];
  const column = (name) => heads.findIndex((head) => head.textContent.startsWith(name));
  const cells = (index) => {
    const rows = [...document.querySelectorAll("#runs tbody tr:not([hidden])")];
    return rows.map((row) => row.cells[index].textContent);
  };
  const type = (text) => {
    const box = document.getElementById("filter");
    box.value = text;
    box.dispatchEvent(new Event("input"));
  };
  const seen = {};

  const throughput = column("total_tok_s");
  const sort = heads[throughput].querySelector("button");
  sort.click();
  seen.ascending = cells(throughput);
  sort.click();
  seen.descending = cells(throughput);
  seen.aria = heads[throughput].getAttribute("aria-sort");

  type("llama total_tok_s>200");
  seen.filtered = cells(column("model"));
  seen.said = document.getElementById("shown").textContent;
  type("");
  seen.all = cells(0).length;

  document.querySelector('.controls [data-group="itl"]').click();
  seen.hidden = document.querySelectorAll("#runs thead tr:last-child th[hidden]").length;

  const curves = (plot) => plot.querySelectorAll(".scatterlayer .trace").length;
  seen.plots = [...document.querySelectorAll(".plot")].map(curves);

  const note = document.createElement("pre");
  note.id = "seen";
  note.textContent = JSON.stringify(seen);
  document.body.append(note);
});

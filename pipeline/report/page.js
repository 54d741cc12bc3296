"use strict";
// The page reads well without this: it adds sliders to the curves, and buttons that open and close the samples.
for (const figure of document.querySelectorAll("figure[data-points]")) {
  const points = JSON.parse(figure.dataset.points);
  const box = figure.querySelector(".try");
  const slider = box.querySelector("input");
  const output = box.querySelector("output");
  const svg = figure.querySelector("svg");
  const probe = document.createElementNS("http://www.w3.org/2000/svg", "path");
  probe.setAttribute("class", "probe");
  svg.append(probe);
  slider.max = String(points.length - 1);
  slider.value = figure.dataset.start;
  const show = () => {
    const [limit, x, joint, alone] = points[Number(slider.value)];
    output.textContent = figure.dataset.sign + " " + limit + ": keeps " + joint + " with the other limits, " + alone + " by itself";
    slider.setAttribute("aria-valuetext", output.textContent);
    probe.setAttribute("d", "M" + x + " 4V144");
  };
  slider.addEventListener("input", show);
  box.hidden = false;
  show();
}
for (const tools of document.querySelectorAll(".tools")) {
  tools.hidden = false;
  const scope = tools.closest("section");
  for (const button of tools.querySelectorAll("button")) {
    button.addEventListener("click", () => {
      for (const item of scope.querySelectorAll("details")) item.open = button.dataset.open === "1";
    });
  }
}
addEventListener("beforeprint", () => {
  for (const item of document.querySelectorAll("details.printed")) item.open = true;
});

for (const figure of document.querySelectorAll("figure")) {
  const stack = figure.querySelector(".stack"), slider = stack.querySelector("input");
  const layers = [...stack.querySelectorAll(".after")], label = layer => layer.querySelector(".tag").textContent;
  const show = () => {
    const chosen = layers[figure.querySelector("input[type=radio]:checked").value], share = Math.round(slider.value);
    for (const layer of layers) layer.hidden = layer !== chosen;
    stack.style.setProperty("--at", slider.value + "%");
    slider.setAttribute("aria-valuetext",
      `${share} % ${label(stack.firstElementChild)}, ${100 - share} % ${label(chosen)}`);
  };
  figure.addEventListener("input", show);
  addEventListener("pageshow", show); // after the browser has put back what was chosen before a reload
}

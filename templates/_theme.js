  const root = document.documentElement;
  const button = document.getElementById("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;
  const css = name => getComputedStyle(root).getPropertyValue(name).trim();
  const drawn = [];

  function paint() {
    const dark = chosen === null ? system.matches : chosen === "dark";
    root.dataset.theme = dark ? "dark" : "light";
    button.textContent = dark ? "Light" : "Dark";
    button.setAttribute("aria-label", `Show in ${dark ? "light" : "dark"} colours`);
    drawn.forEach(chart => chart.make());
  }
  button.hidden = false;
  button.addEventListener("click", () => { chosen = root.dataset.theme === "dark" ? "light" : "dark"; paint(); });
  system.addEventListener("change", paint);

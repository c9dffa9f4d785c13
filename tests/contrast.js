// How well each text within `root` can be read: its contrast with what lies behind it, by the formula of WCAG 2.
root => {
  const parse = text => {
    const [r, g, b, alpha = 1] = text.match(/[\d.]+/g).map(Number);
    return text.startsWith("color(srgb") ? [r * 255, g * 255, b * 255, alpha] : [r, g, b, alpha];
  };
  const over = (top, below) => [0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const background = element => {
    const layers = [];
    for (let node = element; node; node = node.parentElement) {
      layers.push(parse(getComputedStyle(node).backgroundColor));
    }
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1]);
  };
  const linear = x => (x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
  const luminance = colour => {
    const [r, g, b] = colour.slice(0, 3).map(x => linear(x / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = [];
  for (const element of [root, ...root.querySelectorAll("*")]) {
    const words = [...element.childNodes].filter(node => node.nodeType === 3).map(node => node.textContent).join(" ").trim();
    const box = element.getBoundingClientRect();
    if (!words || !box.width || !box.height || ["title", "style"].includes(element.tagName.toLowerCase())) continue;
    const style = getComputedStyle(element);
    const below = background(element);
    const ink = over(parse(element.closest("svg") ? style.fill : style.color), below);
    const [high, low] = [luminance(ink), luminance(below)].sort((one, other) => other - one);
    found.push({ text: words.slice(0, 60), ratio: (high + 0.05) / (low + 0.05) });
  }
  return found;
}

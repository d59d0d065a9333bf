// What scrolls can be scrolled by the keyboard: the Tab key stops at it
function reach() {
  for (const box of document.querySelectorAll("pre, .output, .math-wrapper, .table-wrapper"))
    if (box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight) box.tabIndex = 0;
}
addEventListener("load", reach);
addEventListener("resize", reach);
document.addEventListener("toggle", reach, true); // code that was folded

// A link to an incident opens its details, in browsers too that would only scroll to where they are.
const reveal = () => {
  const details = document.getElementById(decodeURIComponent(location.hash.slice(1)))?.closest("details");
  if (!details) return;
  details.open = true;
  details.querySelector("summary").focus();
  details.scrollIntoView({ block: "start" });
};
addEventListener("hashchange", reveal);
document.addEventListener("click", (event) => {
  // The same link a second time changes no hash.
  if (event.target.closest?.("svg a")) setTimeout(reveal);
});
reveal();
// Arrow keys go from incident to incident in the picture.
document.addEventListener("keydown", (event) => {
  const lanes = event.target.closest?.(".lanes");
  const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
  if (!lanes || !step) return;
  const links = [...lanes.querySelectorAll("a")];
  const next = links[links.indexOf(event.target.closest("a")) + step];
  if (next) next.focus();
  event.preventDefault();
});

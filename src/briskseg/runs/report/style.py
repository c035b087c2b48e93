"""How the page looks: light and dark by the reader's own setting, from a phone's width up."""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #f6f7f9; --card: #ffffff; --ink: #1b2330; --soft: #667085; --line: #e3e6eb;
  --accent: #3b82f6; --warn: #b45309; --warn-paper: #fef3c7;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #0f141b; --card: #171e28; --ink: #e6eaf0; --soft: #98a2b3; --line: #2a3340;
    --warn: #fcd34d; --warn-paper: #3b2f0b;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
}
main { max-width: 1120px; margin: 0 auto; padding: 32px 20px 48px; }
h1 { font-size: 28px; line-height: 1.2; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 0 0 4px; }
h3 { font-size: 14px; margin: 0 0 8px; font-weight: 600; overflow-wrap: anywhere; }
p { margin: 0 0 12px; }
.soft { color: var(--soft); font-size: 13.5px; }
section {
  background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  padding: 20px; margin-top: 20px;
}
.notice {
  background: var(--warn-paper); color: var(--warn); border: 0; padding: 12px 20px;
}
.notice p { margin: 0; }
.headline { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px;
  margin-top: 20px; }
.headline div { background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  padding: 14px 16px; }
.headline b { display: block; font-size: 26px; line-height: 1.25; font-weight: 650;
  font-variant-numeric: tabular-nums; }
.headline div:first-child b { color: var(--accent); }
.charts { display: grid; gap: 20px; margin-top: 12px;
  grid-template-columns: repeat(auto-fit, minmax(min(300px, 100%), 1fr)); }
.charts svg { width: 100%; height: auto; display: block; }
.film { display: block; width: auto; max-width: 100%; height: auto; border-radius: 8px;
  margin: 0 auto; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 14px; margin: 12px 0 0; padding: 0;
  list-style: none; font-size: 13px; }
.chip { display: inline-block; width: 12px; height: 12px; border-radius: 3px; margin-right: 6px;
  vertical-align: -1px; box-shadow: inset 0 0 0 1px rgb(128 128 128 / 50%); }
.bars { display: grid; grid-template-columns: minmax(0, max-content) 1fr max-content;
  gap: 7px 12px; align-items: center; font-variant-numeric: tabular-nums; }
.bars span { overflow-wrap: anywhere; }
.bars i { display: block; height: 14px; border-radius: 4px; background: var(--line);
  overflow: hidden; }
.bars i u { display: block; height: 100%; background: var(--accent); border-radius: 4px; }
.bars small { color: var(--soft); }
.wide { overflow-x: auto; }
.confusion { border-collapse: separate; border-spacing: 2px; font-size: 12px;
  font-variant-numeric: tabular-nums; margin: 0 auto; }
.confusion th { font-weight: 500; text-align: right; white-space: nowrap; padding: 0 6px; }
.confusion thead th { vertical-align: bottom; text-align: left; padding: 4px 0; }
.confusion thead th span { writing-mode: vertical-rl; transform: rotate(180deg); }
.confusion tbody th { position: sticky; left: 0; background: var(--card); }
.confusion td { width: 40px; min-width: 28px; height: 30px; text-align: center;
  border-radius: 4px; }
.examples { display: grid; gap: 20px; margin-top: 12px; }
.examples figure { margin: 0; }
.examples figure div { display: grid; grid-template-columns: repeat(3, 1fr); gap: 8px; }
.examples img { display: block; width: 100%; height: auto; border-radius: 6px;
  background: var(--line); }
.examples figcaption { font-size: 13.5px; margin-bottom: 6px; overflow-wrap: anywhere; }
details summary { cursor: pointer; font-weight: 600; }
pre { overflow-x: auto; font: 12.5px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace;
  margin: 12px 0 0; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 16px; margin: 12px 0 16px;
  font-size: 13.5px; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
footer { margin-top: 24px; color: var(--soft); font-size: 13px; }
@media (max-width: 600px) {
  main { padding: 20px 12px 32px; }
  .bars small { display: none; }
  section { padding: 16px 14px; }
  .examples figure div { grid-template-columns: 1fr; max-width: 420px; }
}
@media print { body { background: none; } section { break-inside: avoid; } }
"""

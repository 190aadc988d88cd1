"""The style sheet of a report's page: wide and narrow screens, light and dark."""

__all__ = ["STYLE"]

STYLE = """
:root { --text: #161616; --quiet: #5a5a5a; --ground: #fff; --card: #f4f4f2; --rule: #d0d0cc;
  --act: #b3261e; --know: #9a6700; --fine: #2e7d32; --line: #161616;
  --kind0: #3567b0; --kind1: #d08a2e; --kind2: #3f9a6d; }
@media (prefers-color-scheme: dark) {
  :root { --text: #ececec; --quiet: #a8a8a8; --ground: #161616; --card: #232323; --rule: #444;
    --act: #f28b82; --know: #e5b567; --fine: #81c995; --line: #ececec;
    --kind0: #7aa7ee; --kind1: #e8b36a; --kind2: #7fcfa6; }
  img { filter: invert(0.91) hue-rotate(180deg); }
}
* { box-sizing: border-box; }
body { font: 16px/1.45 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem;
  color: var(--text); background: var(--ground); overflow-wrap: break-word; }
h1 { font-size: 1.4rem; margin: 0.2rem 0 0.8rem; }
h2 { font-size: 1.1rem; margin: 0; display: inline; }
small, figcaption { color: var(--quiet); font-size: 0.85rem; }
.verdicts { list-style: none; padding: 0; margin: 0 0 1rem; display: grid; gap: 0.6rem;
  grid-template-columns: repeat(auto-fit, minmax(16rem, 1fr)); }
.verdicts li { background: var(--card); border-left: 0.3rem solid var(--fine);
  padding: 0.6rem 0.8rem; }
.verdicts .urgency1 { border-color: var(--know); } .verdicts .urgency2 { border-color: var(--act); }
.verdicts p { margin: 0 0 0.4rem; font-weight: 600; }
figure { margin: 1rem 0; } img { max-width: min(100%, 36rem); display: block; }
.network .key { margin: 0 0 0.4rem; font-size: 0.85rem; }
.network .key span { margin-right: 1.2rem; white-space: nowrap; }
.dot { display: inline-block; width: 0.8em; height: 0.8em; }
.rows { display: grid; grid-template-columns: fit-content(40%) 1fr auto; gap: 0.15rem 0.6rem;
  font-size: 0.9rem; align-items: center; }
.track { position: relative; height: 1rem; background: var(--card); }
.bar { position: absolute; left: 0; top: 0.15rem; bottom: 0.15rem; }
.line { position: absolute; top: -0.1rem; bottom: -0.1rem; border-left: 2px solid var(--line);
  z-index: 1; }
.kind0 { background: var(--kind0); } .kind1 { background: var(--kind1); }
.kind2 { background: var(--kind2); }
.nats { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.ticks { position: relative; height: 1.3rem; font-size: 0.8rem; color: var(--quiet); }
.ticks span { position: absolute; transform: translateX(-50%); }
details { border-top: 1px solid var(--rule); padding: 0.6rem 0; }
details details { border: 0; padding: 0.3rem 0; font-size: 0.9rem; }
summary { cursor: pointer; } summary span { display: block; color: var(--quiet); }
table { border-collapse: collapse; width: 100%; font-size: 0.9rem; margin: 0.6rem 0; }
th, td { text-align: left; padding: 0.2rem 0.8rem 0.2rem 0; vertical-align: top;
  border-bottom: 1px solid var(--rule); }
th[scope="row"] { font-weight: 500; }
td.number { white-space: nowrap; font-variant-numeric: tabular-nums; }
dl { font-size: 0.9rem; color: var(--quiet); } dt { font-weight: bold; }
dd { margin: 0 0 0.4rem 1.2rem; }
@media (max-width: 44rem) {
  table, tbody, tr, th, td { display: block; border: 0; padding: 0; }
  thead { display: none; }
  tr { border-bottom: 1px solid var(--rule); padding: 0.4rem 0; }
  td.number { display: inline; font-weight: 600; white-space: normal; }
  td[title="unit"] { display: inline; } td[title="unit"]::before { content: " "; }
  td[title="baseline"]::before { content: "; baseline "; font-weight: 400; }
  td[title="beside"] { color: var(--quiet); }
}
"""

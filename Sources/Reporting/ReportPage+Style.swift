// Apache-2.0.

extension ReportPage {
  /// One style sheet for light, dark and paper; eight colours that stay apart for most eyes.
  static let style = """
    :root{color-scheme:light dark;--ink:#1c2024;--soft:#667079;--paper:#fff;--grid:#e3e7ea;
    --c0:#0b6bcb;--c1:#d1480a;--c2:#12823b;--c3:#8a3ffc;--c4:#b28600;--c5:#c2185b;--c6:#00838f;--c7:#5d6670}
    @media(prefers-color-scheme:dark){:root{--ink:#e6e9ec;--soft:#97a1ab;--paper:#14171a;--grid:#2b3137;
    --c0:#58a6ff;--c1:#ff8a50;--c2:#4cc77a;--c3:#b794ff;--c4:#e0b437;--c5:#ff6fa3;--c6:#4dd0dc;--c7:#aab4be}}
    body{margin:0;background:var(--paper);color:var(--ink);
    font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
    main{max-width:1180px;margin:0 auto;padding:1.5rem 1rem}
    h1{font-size:1.5rem;margin:0 0 .5rem}h2{font-size:1.15rem;margin:2rem 0 .5rem}h3{font-size:1rem;margin:1rem 0 .25rem}
    .legend{list-style:none;display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;padding:0;margin:0 0 1rem}
    .swatch{display:inline-block;width:.8em;height:.8em;border-radius:2px;margin-right:.4em}
    .figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,440px),1fr));gap:1.25rem;margin-top:1.25rem}
    figure{margin:0;break-inside:avoid}figcaption{font-weight:600;margin-bottom:.25rem}
    svg{width:100%;height:auto;display:block}svg text{font-size:13px;fill:var(--soft)}
    .wide{grid-column:1/-1;max-width:800px}
    .grid{stroke:var(--grid)}.axis{stroke:var(--soft)}.run{fill:none;stroke-width:2;stroke-linejoin:round}
    .scroll{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}
    th,td{text-align:right;padding:.25rem .75rem;border-bottom:1px solid var(--grid);white-space:nowrap}
    th:first-child,td:first-child,.names td:nth-child(2),.names th:nth-child(2){text-align:left}th{color:var(--soft);font-weight:600}
    .miss,.nothing{color:var(--soft)}footer{margin-top:2rem;border-top:1px solid var(--grid);font-size:.85rem;color:var(--soft)}
    dl{display:grid;grid-template-columns:max-content 1fr;gap:0 .75rem;margin:0}dd{margin:0;overflow-wrap:anywhere}
    @media(max-width:600px){svg text{font-size:18px}table{font-size:.85rem}th,td{padding:.25rem .45rem}
    th{white-space:normal;vertical-align:bottom}td:first-child,.names td:nth-child(2){white-space:normal;min-width:6.5rem}
    .names td:first-child{min-width:0}h2{font-size:1.05rem}dl{grid-template-columns:1fr}dd{margin-bottom:.35rem}}
    code{overflow-wrap:anywhere}.band{opacity:.85}
    .b0{fill:var(--c0)}.b1{fill:var(--c6)}.b2{fill:var(--c2)}.b3{fill:var(--c4)}.b4{fill:var(--c1)}.b5{fill:var(--c3)}
    """
    + (0..<8).map {
      ".run.r\($0){stroke:var(--c\($0))}.fill.r\($0){fill:var(--c\($0))}"
        + ".swatch.r\($0){background:var(--c\($0))}"
    }.joined()
    + "@media print{*{print-color-adjust:exact;-webkit-print-color-adjust:exact}"
    + "main{max-width:none;padding:0}body{font-size:11pt}.figures{grid-template-columns:1fr 1fr}"
    + "svg text{font-size:19px}.wide svg text{font-size:13px}"
    + ".scroll{overflow:visible}table{font-size:8.5pt}th,td{padding:.15rem .4rem}th{white-space:normal}"
    + "tr{break-inside:avoid}h2,h3{break-after:avoid}}"
}

// Apache-2.0.
import Reporting
import Testing

@Suite struct FrontierPageTests {
  private static func method(
    _ name: String,
    up: Double,
    ends: [Double],
    seeds: [Double] = []
  ) -> FrontierFigure.Method {
    FrontierFigure.Method(
      name: name,
      group: 1,
      up: up,
      down: 10 * up,
      rounds: 20,
      steps: 5,
      curve: ends.enumerated().map { ($0 * 10, $1) },
      ends: seeds
    )
  }

  @Test func `a page has a point, a curve and a row for each method`() {
    let page = FrontierPage(
      [
        FrontierFigure(
          task: "a < b",
          metric: "held-out accuracy",
          note: "two & more",
          methods: [
            Self.method("small", up: 40, ends: [0.1, 0.2, 0.3]),
            Self.method("large", up: 40_000, ends: [0.1, 0.5, 0.6]),
            Self.method("seeds", up: 90_000, ends: [0.1, 0.5], seeds: [0.4, 0.7, 0.5]),
          ]
        )
      ],
      command: "fedsim frontier \"x\""
    ).html
    #expect(page.contains("<h2>a &lt; b</h2>") && page.contains("two &amp; more"))
    #expect(page.contains("small: 0.3 with 40 B a round"))
    #expect(
      page.contains("<td>large</td><td>40k</td><td>400k</td><td>20</td><td>5</td><td>0.6</td>")
    )
    #expect(page.components(of: "<svg") == 3)
    // A curve in two figures for each, and the range of the one with seeds.
    #expect(page.components(of: "class=\"run r1\"") == 7)
    #expect(page.contains("<td>0.5 (0.4 to 0.7)</td>") && page.contains("seeds: 0.4 to 0.7"))
    // Nothing from elsewhere.
    #expect(!page.contains("http") && !page.contains("<script") && !page.contains("src="))
  }

  @Test func `a method that was never evaluated has no point and breaks nothing`() {
    let page = FrontierPage(
      [
        FrontierFigure(
          task: "t",
          metric: "m",
          note: "",
          methods: [
            Self.method("blind", up: 1, ends: []), Self.method("first", up: 5, ends: [0.5]),
          ]
        )
      ],
      command: "c"
    ).html
    #expect(page.contains("<td>blind</td>") && page.contains("<td>–</td>"))
    #expect(!page.contains("nan") && !page.contains("inf"))
  }
}

extension String {
  fileprivate func components(of part: String) -> Int {
    var count = 0
    var rest = self[...]
    while let range = rest.firstRange(of: part) {
      count += 1
      rest = rest[range.upperBound...]
    }
    return count
  }
}

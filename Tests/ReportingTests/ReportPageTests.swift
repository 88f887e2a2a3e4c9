// Apache-2.0.
import Testing

@testable import Reporting

@Suite struct ReportPageTests {
  private static func record(
    _ name: String,
    losses: [Double?],
    accuracies: [Double?]? = nil,
    step: Double = 10
  ) -> RunRecord {
    RunRecord(
      name: name,
      facts: [("seed", "1")],
      versions: losses.enumerated().map { index, loss in
        RunRecord.Version(
          number: index,
          time: Double(index) * step,
          bytes: Double(index) * 1000,
          ages: index == 0 ? [] : [0, index - 1],
          loss: loss,
          accuracy: accuracies?[index]
        )
      },
      tasks: [
        RunRecord.Task(client: 0, start: 0, end: 10, base: 0),
        RunRecord.Task(client: 1, start: 0, end: 5, base: 0),
      ],
      clients: 2,
      duration: 20
    )
  }

  @Test func `a page shows what it was given and loads nothing`() {
    let page = ReportPage(
      title: "a < b & \"c\"",
      [Self.record("one", losses: [3, 2.5, 2]), Self.record("<two>", losses: [3, 2.9, 2.8])],
      command: "fedsim compare x.json5"
    )
    let html = page.html
    #expect(html.contains("<title>a &lt; b &amp; &quot;c&quot;</title>"))
    #expect(html.contains("&lt;two&gt;") && !html.contains("<two>"))
    #expect(html.contains("fedsim compare x.json5"))
    for outside in ["http", "src=", "<script", "@import", "url("] {
      #expect(!html.contains(outside))
    }
    #expect(html.contains("not reached"))
    #expect(html.contains("prefers-color-scheme:dark") && html.contains("@media print"))
  }

  @Test func `repetitions under other seeds give medians, and misses count as endless`() {
    let seeds = [
      Self.record("one", losses: [3, 2, 1]), Self.record("one", losses: [3, 1, 1]),
      Self.record("one", losses: [3, 3, 3]),
    ]
    let page = ReportPage(
      title: "seeds",
      [seeds[0]],
      command: "x",
      targets: [1, 0.5],
      repetitions: [seeds]
    )
    #expect(page.html.contains("over 3 seeds"))
    // 10 and 20 seconds and a miss: the one in the middle is 20.
    #expect(page.html.contains("<td>20 (10 to 20) <span class=\"miss\">1 missed</span></td>"))
    #expect(page.html.contains("<span class=\"miss\">3 missed</span>"))
    #expect(page.csv.split(separator: "\n").count == 10)
    #expect(!ReportPage(title: "t", [seeds[0]], command: "x").html.contains("missed</span>"))
  }

  @Test func `targets are reached by the first version that is good enough`() {
    let run = Self.record("one", losses: [3, nil, 2.2, 2])
    #expect(run.reached(2.5, accuracy: false)?.number == 2)
    #expect(run.reached(1, accuracy: false) == nil)
    let exact = Self.record("two", losses: [3, 2], accuracies: [0.1, 0.6])
    #expect(exact.reached(0.5, accuracy: true)?.time == 10)
  }

  @Test func `idle share, lateness and tasks are counted`() {
    let run = Self.record("one", losses: [3, 2, 1])
    // 15 of 2 · 20 seconds worked.
    #expect(run.idleShare == 1 - 15.0 / 40)
    #expect(run.ageCounts == [3, 1])
    #expect(run.participation == [1, 1])
  }

  @Test func `lateness is counted in bins that double`() {
    let bins = [0, 1, 2, 3, 4, 5, 8, 9, 16, 17, 64, 65].map { Figures.bin(of: $0) }
    #expect(bins == [0, 1, 2, 3, 3, 4, 4, 5, 5, 6, 7, 8])
    let page = ReportPage(title: "t", [Self.record("one", losses: [3, 2, 1])], command: "").html
    #expect(page.contains("one: 75 % of contributions"))
  }

  @Test func `an axis ends at round numbers`() {
    let scale = Scale([0.13, 0.97], to: 0...100).rounded(5)
    #expect(abs(scale.domain.lowerBound) < 1e-12 && abs(scale.domain.upperBound - 1) < 1e-12)
    #expect(scale.ticks(5).count == 6)
    #expect(Scale([], to: 0...1).rounded(4).ticks(4).count > 1)
  }

  @Test func `no label lies on another, nor outside`() {
    var labels = LabelPlacer(rows: 12...100)
    var taken: [(x: Double, y: Double)] = []
    for index in 0..<9 {
      let place = labels.place("\(index)", at: 50, 14, offsets: LabelPlacer.behind)
      #expect((12...100).contains(place.y))
      #expect(!taken.contains { abs($0.x - place.x) < 11 && abs($0.y - place.y) < 14 })
      taken.append(place)
    }
  }

  @Test func `the CSV has a line a version`() {
    let page = ReportPage(
      title: "t",
      [Self.record("o\"ne", losses: [3, nil])],
      command: ""
    )
    #expect(
      page.csv == """
        run,version,seconds,bytes,contributions,mean_age,loss,accuracy
        "o""ne",0,0.0,0.0,0,0.0,3.0,
        "o""ne",1,10.0,1000.0,2,0.0,,

        """
    )
  }

  @Test func `a run that was never evaluated has a page too`() {
    let html = ReportPage(title: "t", [Self.record("one", losses: [nil])], command: "").html
    #expect(html.contains("no version was evaluated"))
    #expect(ReportPage(title: "t", [], command: "").html.contains("</html>"))
  }

  @Test func `numbers are short, ticks round and within`() {
    #expect(short(0) == "0" && short(1234) == "1.23k" && short(0.25) == "0.25")
    #expect(short(12_345_678) == "12.3M" && short(.nan) == "–" && short(-3.5) == "-3.5")
    let scale = Scale([0.3, 9.7], to: 0...100)
    #expect(scale.ticks(5) == [2, 4, 6, 8])
    #expect(scale.place(0.3) == 0 && scale.place(9.7) == 100)
    let decades = Scale([300, 40_000], to: 0...1, isLogarithmic: true)
    #expect(decades.ticks(5) == [500, 1000, 2000, 5000, 10_000, 20_000])
    #expect(Scale([], to: 0...1).ticks(4).allSatisfy { $0.isFinite })
  }
}

// Apache-2.0.
import Codecs
import FederatedAlgorithms
import ModelFiles
import TestSupport
import Testing

@Suite struct AdviceTests {
  private static func method(
    _ name: String,
    _ algorithm: String,
    up: Double,
    end: Double,
    isAdapter: Bool = false
  ) -> Frontier.Method {
    Frontier.Method(
      name: name,
      algorithm: .object([.init("name", .string(algorithm))]),
      parameters: 1000,
      isAdapter: isAdapter,
      up: up,
      down: up,
      rounds: 10,
      steps: 5,
      curve: [.init(round: 0, value: 0.1), .init(round: 10, value: end)]
    )
  }

  private static let frontier = Frontier(tasks: [
    Frontier.Task(
      name: "classes",
      isAccuracy: true,
      methods: [
        method("bytes", "onebyte", up: 50, end: 0.3),
        method("projections", "ferret", up: 100, end: 0.5),
        method("adapters", "fedavg", up: 400, end: 0.505, isAdapter: true),
        method("everything", "fedavg", up: 4000, end: 0.6),
      ]
    ),
    Frontier.Task(
      name: "text",
      isAccuracy: false,
      methods: [
        method("bytes", "fedkseed", up: 50, end: 0.05)
      ]
    ),
  ])

  private static func take(_ bytes: Int, memory: Int? = nil, parameters: Int = 2000) throws
    -> Advice
  {
    try #require(
      Advice(
        frontier,
        budget: .init(bytes: bytes, memory: memory),
        model: .init(
          parameters: parameters,
          adapterParameters: 1000,
          probeMemory: 10,
          gradientMemory: 50,
          adapterMemory: 30,
          isClassifier: true
        )
      )
    )
  }

  @Test func `more bytes and more memory buy better methods`() throws {
    #expect(try Self.take(20).recommended == nil)
    #expect(try Self.take(60).recommended?.method.name == "bytes")
    #expect(try Self.take(500).recommended?.method.name == "projections")
    // Twice the parameters, twice the bytes.
    #expect(try Self.take(7999).recommended?.method.name == "projections")
    #expect(try Self.take(8000).recommended?.method.name == "everything")
    #expect(try Self.take(8000, memory: 40).recommended?.method.name == "adapters")
    #expect(try Self.take(8000, memory: 20).recommended?.method.name == "bytes")
    #expect(try Self.take(8000, memory: 5).recommended == nil)
  }

  @Test func `a way is a share of the best`() throws {
    let options = try Self.take(1 << 30).options
    #expect(options.first?.reach == 1)
    #expect(abs((options.first { $0.method.name == "projections" }?.reach ?? 0) - 0.8) < 1e-12)
  }

  @Test func `a model without adapters is told so`() throws {
    let advice = try #require(
      Advice(
        Self.frontier,
        budget: .init(bytes: 1 << 30, memory: nil),
        model: .init(
          parameters: 1,
          adapterParameters: nil,
          probeMemory: 1,
          gradientMemory: 1,
          adapterMemory: nil,
          isClassifier: true
        )
      )
    )
    #expect(advice.options.first { $0.method.isAdapter }?.fits == false)
    #expect(advice.recommended?.method.name == "everything")
  }

  @Test func `several seeds of a method have the median of every point and all their ends`() throws
  {
    func run(_ up: Double, _ values: [Double]) -> Frontier.Method {
      Frontier.Method(
        name: "m",
        algorithm: .object([]),
        parameters: 7,
        isAdapter: false,
        up: up,
        down: 1,
        rounds: 10,
        steps: 2,
        curve: values.enumerated().map { Frontier.Point(round: $0.offset * 5, value: $0.element) },
        ends: [values[values.count - 1]]
      )
    }
    let runs = [run(10, [1, 4, 9]), run(20, [1, 2, 3]), run(60, [1, 3, 5])]
    let middle = try #require(Frontier.Method(median: runs))
    #expect(middle.curve.map(\.value) == [1, 3, 5] && middle.curve.map(\.round) == [0, 5, 10])
    #expect(middle.ends == [9, 3, 5] && middle.up == 30)
    #expect(Frontier.Method(median: []) == nil)
    let table = Frontier(tasks: [.init(name: "t", isAccuracy: false, methods: [middle])])
    #expect(try Frontier(JSONValue.parse(Array(table.text.utf8))) == table)
  }

  @Test func `a table reads back from its text`() throws {
    let text = Self.frontier.text
    #expect(try Frontier(JSONValue.parse(Array(text.utf8))) == Self.frontier)
    for cut in stride(from: 0, to: text.utf8.count - 2, by: 7) {
      #expect(throws: (any Error).self) {
        try Frontier(JSONValue.parse(Array(text.utf8.prefix(cut))))
      }
    }
  }

  @Test func `the table of the build is the one in docs and names algorithms there are`() throws {
    let measured = try Frontier.measured()
    let file = try ModelFolder.bytes("\(SourceTree.root)/docs/frontier.json", limit: 1 << 20)
    #expect(Array(measured.text.utf8) == file)
    #expect(measured.tasks.contains { $0.isAccuracy } && measured.tasks.contains { !$0.isAccuracy })
    for method in measured.tasks.flatMap(\.methods) {
      _ = try AlgorithmCatalog.start(algorithm: method.algorithm, key: 1)
      #expect(method.curve.count > 1 && method.up > 0 && method.down > 0)
    }
  }
}

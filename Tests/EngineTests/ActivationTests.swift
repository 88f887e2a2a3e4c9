// Apache-2.0.
import GraphCompiler
import Tensors
import Testing

@Suite("Activations")
struct ActivationTests {
  private static let all = (0..<16).compactMap { Activation(rawValue: Int32($0)) }

  @Test("Have the derivatives that differences of the functions show", arguments: all)
  func derivatives(activation: Activation) {
    let step = 1e-6
    for x in stride(from: -7.03, through: 7, by: 0.11) {
      let slope =
        (activation.reference(x + step) - activation.reference(x - step)) / (2 * step)
      #expect(abs(slope - activation.derivative(x)) <= 1e-7, "\(activation) at \(x)")
    }
  }

  @Test("Pass gradients on through every way a layer applies them", arguments: all)
  func layers(activation: Activation) throws {
    // Alone, with a residual, and before another layer; every operand trains.
    var builder = GraphBuilder()
    let labels = builder.input("labels", ValueType([3], .integer))
    let ids = builder.input("ids", ValueType([3], .integer))
    let table = try builder.parameter("table", [3, 5])
    let x = try builder.embedding(ids, table)
    let a = try builder.linear(
      x,
      builder.parameter("a", [5, 5]),
      bias: builder.parameter("a.b", [5]),
      activation: activation,
      residual: x
    )
    let b = try builder.linear(a, builder.parameter("b", [5, 5]), activation: activation)
    let c = try builder.linear(b, builder.parameter("c", [5, 5]), residual: a)
    let made = try builder.crossEntropy(c, builder.parameter("head", [4, 5]), labels: labels)
    let forward = builder.finish(outputs: [("losses", made.losses)])
    let training = try TrainingGraph(forward, isTrainable: { _ in true }, ending: .gradients)
    var inputs: [String: [Double]] = ["labels": [1, 3, 0], "ids": [2, 0, 2]]
    var parameters: [String: [Double]] = [:]
    for parameter in forward.parameters {
      // Away from the corners of activations that have them.
      parameters[parameter.name] = (0..<parameter.shape.elementCount).map {
        Double(($0 * 7 + parameter.name.utf8.count * 5) % 13) / 9 - 0.61
      }
    }
    inputs[TrainingGraph.lossGradients] = [1, 0.5, 2]
    let gradients = try ReferenceInterpreter(training.graph).run(
      inputs: inputs,
      parameters: parameters
    )
    func loss(_ name: String, _ index: Int, _ shift: Double) throws -> Double {
      var moved = parameters
      moved[name]?[index] += shift
      let losses = try #require(
        try ReferenceInterpreter(forward).run(inputs: inputs, parameters: moved)["losses"]
      )
      return losses[0] + losses[1] / 2 + losses[2] * 2
    }
    for (name, values) in parameters {
      let gradient = try #require(gradients["gradient.\(name)"])
      for index in values.indices {
        let slope = (try loss(name, index, 1e-6) - loss(name, index, -1e-6)) / 2e-6
        #expect(abs(slope - gradient[index]) <= 1e-6 * (1 + abs(slope)), "\(name) \(index)")
      }
    }
  }
}

// Apache-2.0.
import GraphCompiler
import Tensors
import Testing

@Suite("The step size of Delta-SGD")
struct DeltaStepTests {
  @Test("Is what the rule gives by hand")
  func rule() throws {
    let rule = DeltaStep(gamma: 2, delta: 0.1, count: 1)
    let schedule = ReferenceTensor([4], [1, 0.2, 1, 1])
    var state = ReferenceTensor([4], [0, 0, 0, 0])
    var previous = ReferenceTensor([2], [0, 0])
    // The first size is the given one; then growth by √1.1, less than 2·1/(2·3); then 2·5·η/… where
    // the gradient has turned round.
    let growth = 0.2 * 1.1.squareRoot()
    let steps: [(g: [Double], rate: Double)] = [
      ([3, 4], 0.2), ([0, 4], growth), ([0, -4], 2 * 4 * growth / (2 * 8)),
    ]
    for (g, rate) in steps {
      let gradient = ReferenceTensor([2], g)
      var operands = [schedule, state, gradient, previous]
      let made = rule.reference(operands, [])[0].data[0]
      #expect(abs(made - rate) < 1e-7, "\(made), not \(rate)")
      var none: [ReferenceTensor] = []
      rule.referenceEffect(&operands, &none)
      state = operands[1]
      previous = gradient
    }
    #expect(abs(state.data[1] - 0.5) < 1e-7)
  }
}

// Apache-2.0.
import CKernels
import Tensors

/// Floating-point operations a second that the cores of a team can do at most, measured.
func measuredPeak(_ team: ThreadTeam) -> Double {
  let rounds: Int64 = 200_000
  var flops = 0.0
  let measured = Measurement.of(runs: 5) {
    team.run(tasks: team.threadCount) { task, _ in
      var result: Float = 0
      // SAFETY: the result is a local variable.
      let done = unsafe samara_peak_rounds(rounds, &result)
      if task == 0 { flops = Double(done) * Double(team.threadCount) }
    }
  }
  return flops / measured.least
}

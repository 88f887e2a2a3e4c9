// Apache-2.0.
import Testing

@testable import Transport

@Suite struct ReconnectPolicyTests {
  let policy = ReconnectPolicy(
    first: .seconds(1),
    longest: .seconds(60),
    whenRefused: .seconds(300)
  )

  @Test func `waits double up to the longest and are spread from nothing on`() {
    for (failures, longest) in [(0, 1), (1, 2), (5, 32), (6, 60), (7, 60), (1000, 60)] {
      let reason = CloseReason.byPeer
      #expect(policy.wait(failures: failures, reason: reason, random: 0) == .zero)
      let most = policy.wait(failures: failures, reason: reason, random: .max)
      #expect(most < .seconds(longest))
      #expect(most > .seconds(longest) * 999 / 1000)
    }
  }

  @Test func `a time that the server gave is kept, plus up to half of it`() {
    let reason = CloseReason.goodbye(Goodbye(.leaving, retryAfter: .seconds(8), "restart"))
    #expect(policy.wait(failures: 9, reason: reason, random: 0) == .seconds(8))
    let most = policy.wait(failures: 9, reason: reason, random: .max)
    #expect(most > .seconds(11) && most < .seconds(12))
  }

  @Test(arguments: [Goodbye.Code.refused, .replaced])
  func `where only a person can help the wait is long`(_ code: Goodbye.Code) {
    let reason = CloseReason.goodbye(Goodbye(code, "no"))
    #expect(policy.wait(failures: 0, reason: reason, random: 0) == .seconds(300))
    #expect(policy.wait(failures: 0, reason: reason, random: .max) < .seconds(600))
  }
}

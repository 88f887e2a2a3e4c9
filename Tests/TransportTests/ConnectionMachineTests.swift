// Apache-2.0.
import Testing

@testable import Transport

@Suite struct ConnectionMachineTests {
  static let limits = ConnectionLimits(
    handshake: .seconds(10),
    enrolment: .seconds(5),
    heartbeat: .seconds(30),
    silence: .seconds(95),
    farewell: .seconds(2),
    congestion: 100,
    mostQueued: 1000
  )

  static func open(pings: Bool) -> ConnectionMachine {
    var machine = ConnectionMachine(limits: limits, pings: pings, now: .zero)
    machine.established(recognised: true, now: .zero)
    return machine
  }

  @Test func `every phase but the open one has a deadline`() {
    var machine = ConnectionMachine(limits: Self.limits, pings: false, now: .zero)
    #expect(machine.deadline == .seconds(10))
    #expect(machine.check(.seconds(9)) == nil)
    #expect(machine.check(.seconds(10)) == .close(.deadline("the handshake")))
    machine.established(recognised: false, now: .seconds(1))
    #expect(machine.phase == .enrolling)
    #expect(machine.check(.seconds(6)) == .close(.deadline("the enrolment")))
    machine.leave(.seconds(2))
    #expect(machine.check(.seconds(4)) == .close(.deadline("the farewell")))
    machine.end()
    #expect(machine.deadline == nil)
    #expect(machine.check(.seconds(1000)) == nil)
  }

  @Test func `a stranger gains no time by talking`() {
    var machine = ConnectionMachine(limits: Self.limits, pings: false, now: .zero)
    machine.established(recognised: false, now: .zero)
    for second in 1...4 { machine.heard(.seconds(second)) }
    #expect(machine.check(.seconds(5)) == .close(.deadline("the enrolment")))
  }

  @Test func `an idle client pings at every heartbeat, and once only`() {
    var machine = Self.open(pings: true)
    for beat in 1...5 {
      let now = Duration.seconds(30 * beat)
      #expect(machine.deadline == now)
      #expect(machine.check(now) == .ping)
      #expect(machine.check(now) == nil)
      machine.said(now, madeRoom: false)
      machine.heard(now)
    }
  }

  @Test func `a client that only hears pings, so that the server hears it`() {
    var machine = Self.open(pings: true)
    for second in 1...30 { machine.heard(.seconds(second)) }
    #expect(machine.check(.seconds(30)) == .ping)
  }

  @Test func `a client that only says pings, so that it hears the server`() {
    var machine = Self.open(pings: true)
    for second in 1...30 { machine.said(.seconds(second), madeRoom: false) }
    #expect(machine.check(.seconds(30)) == .ping)
  }

  @Test func `what the kernel takes is no sign of life, room that the peer makes is one`() {
    var machine = Self.open(pings: false)
    machine.said(.seconds(90), madeRoom: false)
    #expect(machine.deadline == .seconds(95))
    #expect(machine.check(.seconds(95)) == .close(.silent))
    machine.said(.seconds(94), madeRoom: true)
    #expect(machine.check(.seconds(95)) == nil)
    #expect(machine.check(.seconds(94 + 95)) == .close(.silent))
  }

  @Test func `congestion begins above its mark and ends at half of it`() {
    var machine = Self.open(pings: false)
    #expect(machine.queued(100) == nil)
    #expect(machine.queued(101) == true)
    #expect(machine.queued(500) == nil)
    #expect(machine.queued(51) == nil)
    #expect(machine.queued(50) == false)
    #expect(machine.queued(0) == nil)
    #expect(!machine.isOverfull(1000))
    #expect(machine.isOverfull(1001))
  }
}

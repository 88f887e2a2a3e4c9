// Apache-2.0.
import Testing
import WireProtocol

@testable import Transport

@Suite struct QueueTests {
  @Test func `frames leave a queue as the bytes they are, in pieces of any size`() {
    for size in [1, 5, 6, 7, 100, 5000] {
      var random = TestRandom(UInt64(size))
      var queue = OutgoingQueue()
      var expected: [UInt8] = []
      for index in 0..<200 {
        let frame = Frame(kind: UInt8(index), body: random.bytes(Int(random.next() % 40)))
        expected += frame.encoded
        queue.append(frame)
      }
      #expect(queue.bytes == expected.count)
      var found: [UInt8] = []
      while !queue.isEmpty {
        let piece = queue.take(size)
        #expect(piece.count == min(size, expected.count - found.count))
        found += piece
        #expect(queue.bytes == expected.count - found.count)
      }
      #expect(found == expected)
      #expect(queue.take(10).isEmpty)
    }
  }

  @Test func `times come out in order, equal ones as they went in`() {
    var random = TestRandom(7)
    var queue = TimerQueue<Int>()
    var expected: [(Duration, Int)] = []
    for index in 0..<1000 {
      let time = Duration.milliseconds(Int(random.next() % 50))
      queue.insert(index, at: time)
      expected.append((time, index))
    }
    expected.sort { ($0.0, $0.1) < ($1.0, $1.1) }
    #expect(queue.next == expected[0].0)
    let halfway = expected.filter { $0.0 <= .milliseconds(25) }
    var found: [Int] = []
    while let key = queue.popDue(.milliseconds(25)) { found.append(key) }
    #expect(found == halfway.map(\.1))
    while let key = queue.popDue(.seconds(1)) { found.append(key) }
    #expect(found == expected.map(\.1))
    #expect(queue.count == 0)
  }
}

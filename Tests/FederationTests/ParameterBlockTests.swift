// Apache-2.0.
import Codecs
import FederatedCore
import Testing

@Suite struct ParameterBlockTests {
  @Test func `tensors come back from their bytes, and no other bytes are taken`() throws {
    let blocks = QuadraticTrainer.blocks
    let bytes = ParameterBlock.encode(blocks)
    #expect(try ParameterBlock.decode(bytes) == blocks)
    for cut in bytes.indices {
      #expect(throws: CodecError.self) { try ParameterBlock.decode(Array(bytes[..<cut])) }
    }
    #expect(throws: CodecError.self) { try ParameterBlock.decode(bytes + [0]) }
    // 2^31 elements in all are one too many.
    var writer = ByteWriter()
    writer.write(count: 2)
    for _ in 0..<2 {
      writer.write(string: "half")
      writer.write(count: 2)
      for extent in [1 << 15, 1 << 15] { writer.write(count: extent) }
    }
    #expect(throws: CodecError.self) { try ParameterBlock.decode(writer.bytes) }
  }
}

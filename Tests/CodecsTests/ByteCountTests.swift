// Apache-2.0.
import Codecs
import Testing

@Suite struct ByteCountTests {
  @Test(arguments: [
    ("300000", 300_000), ("24MiB", 24 << 20), ("1.5GiB", 3 << 29), ("2kB", 2000), ("4K", 4096),
    ("1GB", 1_000_000_000), ("7B", 7),
  ])
  func `a size is read as people write it`(text: String, bytes: Int) {
    #expect(byteCount(text) == bytes)
  }

  @Test(arguments: ["", "MiB", "-1MiB", "0", "nan", "infGiB", "1e300", "12 apples", "1TiB"])
  func `what is no size is none`(text: String) {
    #expect(byteCount(text) == nil)
  }
}

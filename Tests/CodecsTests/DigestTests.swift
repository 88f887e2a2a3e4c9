// Apache-2.0.
import Codecs
import Testing

@Suite struct DigestTests {
  @Test(
    arguments: [
      ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
      ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
      (
        "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
      ),
    ]
  )
  func `the digests of FIPS 180 come out`(text: String, expected: String) {
    #expect(Digest.sha256(of: Array(text.utf8)).description == expected)
  }

  @Test(arguments: [0, 1, 63, 64, 65, 199, 200])
  func `pieces hash like the whole`(cut: Int) {
    let bytes = (0..<200).map { UInt8($0) }
    var hasher = SHA256()
    hasher.update(bytes[..<cut])
    hasher.update(bytes[cut...])
    #expect(hasher.finalize() == Digest.sha256(of: bytes))
  }
}

// Apache-2.0.
import Glibc
import ModelFiles

/// A whole file: every tensor of one that opens lies within it.
let safetensorsFuzzTarget = FuzzTarget("safetensors") { bytes in
  // Two bytes of size and a header, so that most inputs get past the length.
  if bytes.count > 2 {
    let size = Int(bytes[0]) << 8 | Int(bytes[1])
    if let header = try? SafetensorsHeader(Array(bytes[2...]), dataBytes: size, file: "input") {
      var end = 0
      for entry in header.entries {
        precondition(entry.range.lowerBound == end, "a hole or an overlap at \(entry.name)")
        end = entry.range.upperBound
      }
      precondition(end == size, "\(size - end) bytes are of no tensor")
    }
  }
  let path = "/dev/shm/samara-fuzz-\(getpid()).safetensors"
  guard (try? ModelFolder.write(bytes, to: path)) != nil else { return }
  defer { unsafe unlink(path) }
  guard let file = try? SafetensorsFile(path: path) else { return }
  var sum = 0
  for entry in file.header.entries {
    // SAFETY: the file outlives the reading of its bytes.
    sum &+= unsafe file.bytes(of: entry).reduce(0) { $0 &+ Int($1) }
  }
  withExtendedLifetime(file) { precondition(sum >= 0) }
}

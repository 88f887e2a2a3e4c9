// Apache-2.0.
import Glibc

/// What the kernel says of this process's memory.
public enum ProcessMemory {
  /// The most bytes that were resident at a time, mapped files included; nil where `/proc` is not there.
  public static var peak: Int? { entry("VmHWM:", of: "/proc/self/status") }

  /// Bytes that programs can have without swapping.
  public static var available: Int? { entry("MemAvailable:", of: "/proc/meminfo") }

  /// A line `Name:   1234 kB`.
  private static func entry(_ name: String, of path: String) -> Int? {
    guard let file = unsafe fopen(path, "r") else { return nil }
    defer { unsafe fclose(file) }
    var line = [CChar](repeating: 0, count: 256)
    // SAFETY: fgets writes at most the count it is given, zero-terminated.
    while unsafe fgets(&line, Int32(line.count), file) != nil {
      let bytes = line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
      let words = String(decoding: bytes, as: UTF8.self).split { $0 == " " || $0 == "\t" }
      if let first = words.first, first == name, words.count >= 2, let count = Int(words[1]) {
        return count << 10
      }
    }
    return nil
  }
}

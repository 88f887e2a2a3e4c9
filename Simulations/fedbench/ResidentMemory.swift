// Apache-2.0.
import Glibc

/// Memory of this process that lies in the machine's, by the kernel's account.
enum ResidentMemory {
  /// Bytes now.
  static func now() -> Int { bytes("VmRSS:") }

  /// Most bytes since the start or `resetPeak`.
  static func peak() -> Int { bytes("VmHWM:") }

  /// Forgets the peak so far.
  static func resetPeak() {
    guard let file = unsafe fopen("/proc/self/clear_refs", "w") else { return }
    unsafe fputs("5", file)
    unsafe fclose(file)
  }

  /// The line of a name in /proc/self/status, which is in KiB.
  private static func bytes(_ name: String) -> Int {
    guard let file = unsafe fopen("/proc/self/status", "r") else { return 0 }
    defer { unsafe fclose(file) }
    var text: [UInt8] = []
    while case let letter = unsafe fgetc(file), letter >= 0 { text.append(UInt8(letter)) }
    let lines = String(decoding: text, as: UTF8.self).split(separator: "\n")
    guard let line = lines.first(where: { $0.hasPrefix(name) }) else { return 0 }
    return line.split(whereSeparator: \.isWhitespace).compactMap { Int($0) }.first.map { $0 << 10 }
      ?? 0
  }
}

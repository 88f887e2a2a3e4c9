// Apache-2.0.
import Fuzzing
import Glibc

/// The target that SAMARA_FUZZ_TARGET names.
private let target: FuzzTarget = {
  // SAFETY: getenv's text is copied at once; nothing here writes the environment.
  let name = unsafe getenv("SAMARA_FUZZ_TARGET").map { unsafe String(cString: $0) } ?? ""
  guard let found = fuzzTargets.first(where: { $0.name == name }) else {
    fatalError("SAMARA_FUZZ_TARGET is one of \(fuzzTargets.map(\.name).joined(separator: ", "))")
  }
  return found
}()

/// Called by libFuzzer with an input.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  // SAFETY: libFuzzer's bytes live during the call.
  target.body(unsafe Array(UnsafeBufferPointer(start: start, count: count)))
  return 0
}

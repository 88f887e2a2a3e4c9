// Apache-2.0.
import ModelFiles

/// A safetensors file of examples.
///
///     features   U8 or F32 [N, F], or
///     images     U8 or F32 [N, H, W], [N, H, W, C] or [N, C, H, W]
///     labels     U8, I8, U16, I16, I32, U32 or I64 [N]: the class of each example
///
/// Any other integer tensor [N] can tell the examples apart for sharing them out. Metadata:
///
///     layout     NHWC or NCHW; needed only where neither or both of the extents in question are 1 or 3
///     mean       subtracted from the stored numbers: one number, or one a channel with commas between
///     scale      what the difference is multiplied by, likewise
///
/// A value is (stored − mean) · scale. Without metadata the mean is 0 and the scale 1, of U8 1/255.
/// An example has the pixels of its image row by row, the channels of a pixel side by side.
struct ArrayFile {
  /// Examples of the file, N.
  let count: Int
  private let file: SafetensorsFile
  private let values: SafetensorsEntry
  private let labels: SafetensorsEntry
  private let classCount: Int?
  /// Pixels of an example, and their channels.
  private let pixels: Int
  private let channels: Int
  private let isPlanar: Bool
  private let mean: [Float]
  private let scale: [Float]

  /// Opens and checks a file.
  ///
  /// - Parameters:
  ///   - classCount: labels must be below; nil for any.
  ///   - rowLimit: bytes of an example at most.
  init(path: String, classCount: Int?, rowLimit: Int) throws(DatasetError) {
    func refuse(_ reason: String) -> DatasetError { .arrays(file: path, reason: reason) }
    let file: SafetensorsFile
    do throws(ModelFileError) {
      file = try SafetensorsFile(path: path)
    } catch {
      if case .system(let attempt, let code) = error { throw .system(attempt: attempt, code: code) }
      throw refuse("\(error)")
    }
    let named = file.header.entries.filter { ["features", "images"].contains($0.name) }
    guard named.count == 1, let values = named.first else {
      throw refuse("one tensor must be called features or images, and one labels")
    }
    guard let labels = file.header.entries.first(where: { $0.name == "labels" }) else {
      throw refuse("no tensor is called labels")
    }
    guard values.type == "U8" || values.type == "F32" else {
      throw refuse("\(values.name) is stored as \(values.type); write U8 or F32")
    }
    let ranks = values.name == "features" ? 2...2 : 3...4
    guard ranks.contains(values.shape.count), values.shape.allSatisfy({ $0 > 0 }) else {
      throw refuse("\(values.name) has the shape \(values.shape)")
    }
    count = values.shape[0]
    let elements = values.shape.dropFirst().reduce(1, *)
    guard elements <= rowLimit / 4 else {
      throw refuse("an example of \(elements) values; \(rowLimit / 4) are allowed")
    }
    guard labels.shape == [count] else {
      throw refuse("labels has the shape \(labels.shape) for \(count) examples")
    }
    let metadata = file.header.metadata
    isPlanar = values.shape.count == 4 ? try Self.isPlanar(values.shape, metadata, path) : false
    channels = values.shape.count == 4 ? values.shape[isPlanar ? 1 : 3] : 1
    pixels = elements / channels
    let defaultScale: Float = values.type == "U8" ? 1 / 255 : 1
    mean = try Self.numbers("mean", metadata, default: 0, channels, path)
    scale = try Self.numbers("scale", metadata, default: defaultScale, channels, path)
    self.file = file
    self.values = values
    self.labels = labels
    self.classCount = classCount
  }

  private static func isPlanar(
    _ shape: [Int],
    _ metadata: [String: String],
    _ path: String
  ) throws(DatasetError) -> Bool {
    switch metadata["layout"] {
    case "NHWC": return false
    case "NCHW": return true
    case nil:
      let (first, last) = ([1, 3].contains(shape[1]), [1, 3].contains(shape[3]))
      guard first != last else {
        throw .arrays(
          file: path,
          reason:
            "images \(shape) do not tell their channels; set the metadata layout to NHWC or NCHW"
        )
      }
      return first
    case let layout?:
      throw .arrays(file: path, reason: "the layout \(layout) is neither NHWC nor NCHW")
    }
  }

  private static func numbers(
    _ key: String,
    _ metadata: [String: String],
    default fallback: Float,
    _ channels: Int,
    _ path: String
  ) throws(DatasetError) -> [Float] {
    guard let text = metadata[key] else { return [Float](repeating: fallback, count: channels) }
    let parts = text.split(separator: ",", omittingEmptySubsequences: false)
    let numbers = parts.compactMap { part in Float(part.filter { $0 != " " }) }
    guard numbers.count == parts.count, numbers.allSatisfy(\.isFinite),
      numbers.count == 1 || numbers.count == channels
    else {
      throw .arrays(
        file: path,
        reason: "the metadata \(key) must be one number, or \(channels) with commas between"
      )
    }
    return numbers.count == channels
      ? numbers : [Float](repeating: numbers[0], count: channels)
  }

  /// An example.
  func example(_ row: Int) throws(DatasetError) -> Example {
    let index = try classIndex(row)
    let total = pixels * channels
    var made = [Float](repeating: 0, count: total)
    // SAFETY: the entry holds count · total elements of its type, checked when the file was opened.
    let bytes = unsafe file.bytes(of: values)
    let isByte = values.type == "U8"
    for pixel in 0..<pixels {
      for channel in 0..<channels {
        let place = row * total + (isPlanar ? channel * pixels + pixel : pixel * channels + channel)
        let stored =
          isByte
          ? Float(unsafe bytes[place])
          : Float(
            bitPattern: UInt32(
              littleEndian: unsafe bytes.loadUnaligned(fromByteOffset: 4 * place, as: UInt32.self)
            )
          )
        made[pixel * channels + channel] = (stored - mean[channel]) * scale[channel]
      }
    }
    guard made.allSatisfy(\.isFinite) else {
      throw refuse("example \(row) has a value that is not finite")
    }
    return Example(values: made, classIndex: index)
  }

  private func classIndex(_ row: Int) throws(DatasetError) -> Int32 {
    let label = try integer(row, of: labels)
    guard (0..<(classCount ?? Int(Int32.max))).contains(label) else {
      throw refuse(
        "label \(label) of example \(row) is not below \(classCount ?? Int(Int32.max))"
      )
    }
    return Int32(label)
  }

  /// What tells the first `count` examples apart: their label, the file, or a tensor of integers.
  func groups(_ field: String, count: Int, file name: String) throws(DatasetError) -> [String] {
    let wanted = field == "label" ? "labels" : field
    guard let entry = file.header.entries.first(where: { $0.name == wanted }) else {
      guard field == "file" else { throw refuse("no tensor \(field) to go by") }
      return [String](repeating: name, count: count)
    }
    guard entry.shape == [self.count] else {
      throw refuse("\(field) has the shape \(entry.shape) for \(self.count) examples")
    }
    var groups: [String] = []
    for row in 0..<count { groups.append("\(try integer(row, of: entry))") }
    return groups
  }

  /// An element of a tensor of integers [N].
  private func integer(_ row: Int, of entry: SafetensorsEntry) throws(DatasetError) -> Int {
    // SAFETY: the entry holds N elements of its type, and row is below.
    let bytes = unsafe file.bytes(of: entry)
    func load<Element: FixedWidthInteger & BitwiseCopyable>(_: Element.Type) -> Int {
      let size = MemoryLayout<Element>.size
      let loaded = unsafe bytes.loadUnaligned(fromByteOffset: size * row, as: Element.self)
      return Int(Element(littleEndian: loaded))
    }
    switch entry.type {
    case "U8": return load(UInt8.self)
    case "I8": return load(Int8.self)
    case "U16": return load(UInt16.self)
    case "I16": return load(Int16.self)
    case "U32": return load(UInt32.self)
    case "I32": return load(Int32.self)
    case "I64": return load(Int64.self)
    default: throw refuse("\(entry.name) is stored as \(entry.type); write integers")
    }
  }

  private func refuse(_ reason: String) -> DatasetError {
    .arrays(file: file.file.path, reason: reason)
  }
}

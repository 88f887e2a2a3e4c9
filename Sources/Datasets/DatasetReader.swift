// Apache-2.0.
import Codecs
public import ModelFiles

/// What kind of file a path holds.
public enum DataFormat: Sendable, Equatable {
  /// By the name: a folder, one of pictures among them, `.csv`, `.txt` or `.md`, `.safetensors`, anything else JSON lines.
  case auto
  /// JSON lines, one object a line.
  case lines(RowFormat)
  /// Comma-separated values behind a header that names the columns.
  case csv
  /// Plain text: one file or a folder of them, a document each.
  case plain
  /// Arrays of values and labels.
  case arrays
  /// A folder of pictures, a folder in it for each class.
  case images

  /// Names that a run file may give.
  public static let names = [
    "auto", "alpaca", "sharegpt", "messages", "text", "csv", "folder", "safetensors", "images",
  ]

  /// A format by its name.
  ///
  /// - Throws: `DatasetError.unknownName`.
  public init(name: String) throws(DatasetError) {
    switch name {
    case "auto": self = .auto
    case "csv": self = .csv
    case "folder": self = .plain
    case "safetensors": self = .arrays
    case "images": self = .images
    default:
      guard let rows = RowFormat(rawValue: name) else {
        throw .unknownName(kind: "data format", name: name, known: Self.names)
      }
      self = .lines(rows)
    }
  }
}

/// Reads data files into examples of one model, row by row: a bad row of text is skipped and reported,
/// a file of arrays with a fault refused.
public struct DatasetReader: Sendable {
  /// Nil: examples are of values.
  private let builder: ExampleBuilder?
  private let labels: [String]?
  private let images: ImageInput?
  private let format: DataFormat
  private let field: String?
  private let limit: Int
  private let rowLimit: Int

  /// A reader.
  ///
  /// - Parameters:
  ///   - tokenizer: the model's; nil of a model that reads values, whose data are arrays or pictures.
  ///   - images: the pictures the model reads; nil where it reads none.
  ///   - format: one of `DataFormat.names`.
  ///   - template: `auto`, or one of `ChatTemplate`.
  ///   - maximumLength: tokens of an example at most; longer texts are cut into several examples,
  ///     longer conversations and texts with a label lose their end.
  ///   - labels: the classes in the order of the model's outputs; nil for language modeling.
  ///   - field: the field whose values become `Dataset.groups`; `file` is the name of the file where
  ///     rows have no such field. Arrays have `label`, and any other tensor of integers; pictures
  ///     `label` and `file`.
  ///   - limit: examples at most; reading ends there.
  ///   - rowLimit: bytes of a row at most; longer rows are skipped.
  /// - Throws: `DatasetError.unknownName`.
  public init(
    tokenizer: (any Tokenizer)?,
    images: ImageInput? = nil,
    format: String = "auto",
    template: String = "auto",
    maximumLength: Int,
    labels: [String]? = nil,
    field: String? = nil,
    limit: Int = .max,
    rowLimit: Int = 16 << 20
  ) throws(DatasetError) {
    self.format = try DataFormat(name: format)
    let chat = ChatTemplate(rawValue: template)
    guard chat != nil || template == "auto" else {
      throw .unknownName(
        kind: "template",
        name: template,
        known: ["auto"] + ChatTemplate.allCases.map(\.rawValue)
      )
    }
    builder = tokenizer.map { tokenizer in
      ExampleBuilder(
        tokenizer: tokenizer,
        maximumLength: maximumLength,
        template: chat,
        labels: labels
      )
    }
    self.labels = labels
    self.images = images
    self.field = field
    self.limit = limit
    self.rowLimit = rowLimit
  }

  /// Reads a file or a folder.
  ///
  /// - Throws: `DatasetError`; also where nothing gave an example.
  public func read(path: String) throws(DatasetError) -> Dataset {
    var collected = Collected(keepsGroups: field != nil)
    if DataFolder.isFolder(path) {
      let files = try DataFolder.files(path)
      if let input = try imageInput(files, path) {
        try readImages(files, path, input, into: &collected)
      } else {
        for file in files {
          guard collected.examples.count < limit else { break }
          collected.file = file
          try read(file: "\(path)/\(file)", into: &collected)
        }
      }
    } else {
      try read(file: path, into: &collected)
    }
    guard !collected.examples.isEmpty else {
      throw .empty(path: path, skipped: collected.skipped)
    }
    let count = min(limit, collected.examples.count)
    return Dataset(
      examples: Array(collected.examples.prefix(count)),
      skipped: collected.skipped,
      groups: Array(collected.groups.prefix(count))
    )
  }

  /// The pictures to read of a folder, where they are asked for or found.
  private func imageInput(_ files: [String], _ path: String) throws(DatasetError) -> ImageInput? {
    let isFound = format == .auto && builder == nil && ImageFolder.holdsImages(files)
    guard isFound || format == .images else { return nil }
    guard let images else { throw .arrays(file: path, reason: "the model reads no pictures") }
    return images
  }

  private func readImages(
    _ files: [String],
    _ path: String,
    _ input: ImageInput,
    into collected: inout Collected
  ) throws(DatasetError) {
    let folder = try ImageFolder(
      path: path,
      files: files,
      labels: labels,
      input: input,
      fileLimit: rowLimit
    )
    for file in folder.files {
      guard collected.examples.count < limit else { break }
      collected.file = file
      let group = try field.map { (field) throws(DatasetError) in try folder.group(field, file) }
      collected.add(at: 1) { () throws(RowFault) in ([try folder.example(file)], group ?? "") }
    }
  }

  private func read(file: String, into collected: inout Collected) throws(DatasetError) {
    let format = format == .auto ? Self.recognised(file) : format
    guard format != .images else {
      throw .arrays(file: file, reason: "pictures lie in a folder that has one for each class")
    }
    guard (builder == nil) == (format == .arrays) else {
      throw .arrays(
        file: file,
        reason: builder == nil
          ? "the model reads values; give it a .safetensors file of features or images"
            + (images == nil ? "" : ", or a folder of pictures")
          : "the model reads texts, and the file holds arrays"
      )
    }
    switch format {
    case .lines(let rows): try readLines(file, rows, into: &collected)
    case .csv: try readCSV(file, into: &collected)
    case .plain: try readText(file, into: &collected)
    case .arrays, .auto, .images: try readArrays(file, into: &collected)
    }
  }

  private static func recognised(_ file: String) -> DataFormat {
    let name = file.lowercased()
    if name.hasSuffix(".csv") { return .csv }
    if name.hasSuffix(".txt") || name.hasSuffix(".md") { return .plain }
    return name.hasSuffix(".safetensors") ? .arrays : .lines(.auto)
  }

  private func readArrays(_ file: String, into collected: inout Collected) throws(DatasetError) {
    let arrays = try ArrayFile(path: file, classCount: labels?.count, rowLimit: rowLimit)
    let count = min(arrays.count, limit - collected.examples.count)
    let name = collected.file.isEmpty ? file : collected.file
    if let field {
      collected.groups += try arrays.groups(field, count: count, file: name)
    }
    for row in 0..<count { collected.examples.append(try arrays.example(row)) }
  }

  private func readLines(
    _ file: String,
    _ rows: RowFormat,
    into collected: inout Collected
  ) throws(DatasetError) {
    var reader = try LineReader(path: file, limit: rowLimit)
    let name = collected.file.isEmpty ? file : collected.file
    while collected.examples.count < limit, let line = try reader.next() {
      collected.add(at: line.line) { () throws(RowFault) in
        let bytes = try line.content.get()
        // A blank line is no row, and no fault.
        guard !bytes.allSatisfy({ $0 == 0x20 || $0 == 0x09 }) else { return nil }
        return try examples(of: try Self.parse(bytes), rows, name)
      }
    }
  }

  private func readCSV(_ file: String, into collected: inout Collected) throws(DatasetError) {
    var reader = try CSVReader(path: file, limit: rowLimit)
    let name = collected.file.isEmpty ? file : collected.file
    guard let header = try reader.next() else { return }
    let columns: [String]
    do throws(RowFault) {
      columns = try header.content.get()
    } catch {
      throw .malformed(file: file, line: 1, reason: "header: \(error.reason)")
    }
    guard columns.contains("text") || columns.contains("instruction") else {
      throw .malformed(
        file: file,
        line: 1,
        reason: "the header must name a column text (and label), or instruction and output; "
          + "it has \(columns.joined(separator: ", "))"
      )
    }
    while collected.examples.count < limit, let record = try reader.next() {
      collected.add(at: record.line) { () throws(RowFault) in
        let fields = try record.content.get()
        // A blank line reads as one empty field.
        guard fields != [""] || columns.count == 1 else { return nil }
        guard fields.count == columns.count else {
          throw RowFault(reason: "\(fields.count) fields, the header has \(columns.count)")
        }
        let row = zip(columns, fields).map { JSONValue.Member($0, .string($1)) }
        return try examples(of: .object(row), .auto, name)
      }
    }
  }

  private func readText(_ file: String, into collected: inout Collected) throws(DatasetError) {
    var reader = try LineReader(path: file, limit: rowLimit)
    var bytes: [UInt8] = []
    var isFirst = true
    var fault: SkippedRow?
    while fault == nil, let line = try reader.next() {
      switch line.content {
      case .failure(let error): fault = SkippedRow(line: line.line, reason: error.reason)
      case .success(let content):
        if String(validating: content, as: UTF8.self) == nil {
          fault = SkippedRow(line: line.line, reason: "not UTF-8")
        }
        if !isFirst { bytes.append(UInt8(ascii: "\n")) }
        isFirst = false
        bytes += content
        if bytes.count > Self.maximumDocument {
          fault = SkippedRow(line: line.line, reason: "a document of over 1 GiB")
        }
      }
    }
    let name = collected.file
    collected.add(at: fault?.line ?? 1) { () throws(RowFault) in
      if let fault { throw RowFault(reason: fault.reason) }
      let text = String(decoding: bytes, as: UTF8.self)
      return (try builder?.examples(.text(text, label: nil)) ?? [], name)
    }
  }

  private static let maximumDocument = 1 << 30

  private func examples(
    of row: JSONValue,
    _ format: RowFormat,
    _ file: String
  ) throws(RowFault) -> (examples: [Example], group: String) {
    let examples = try builder?.examples(try RowContent(row, format: format)) ?? []
    guard let field else { return (examples, "") }
    guard let group = row.groupText(field) ?? (field == "file" ? file : nil) else {
      throw RowFault(reason: "no field \(field) to go by")
    }
    return (examples, group)
  }

  private static func parse(_ line: [UInt8]) throws(RowFault) -> JSONValue {
    do throws(JSONError) {
      return try JSONValue.parse(line, limits: JSONLimits(bytes: line.count, depth: 32))
    } catch {
      // The parser's own line is always 1 here.
      guard case .syntax(_, let column, let reason) = error else {
        throw RowFault(reason: "\(error)")
      }
      throw RowFault(reason: "column \(column): \(reason)")
    }
  }
}

/// What was read so far.
private struct Collected {
  let keepsGroups: Bool
  /// File of a folder at work.
  var file = ""
  var examples: [Example] = []
  var skipped: [SkippedRow] = []
  var groups: [String] = []

  init(keepsGroups: Bool) { self.keepsGroups = keepsGroups }

  /// Takes in what a row gives: examples, nothing, or the reason why not.
  mutating func add(
    at line: Int,
    _ row: () throws(RowFault) -> (examples: [Example], group: String)?
  ) {
    do throws(RowFault) {
      guard let row = try row() else { return }
      examples += row.examples
      if keepsGroups { groups += row.examples.map { _ in row.group } }
    } catch {
      skipped.append(
        SkippedRow(line: line, reason: file.isEmpty ? error.reason : "\(file): \(error.reason)")
      )
    }
  }
}

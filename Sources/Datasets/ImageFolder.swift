// Apache-2.0.
import ModelFiles

/// A folder of pictures, a folder in it for each class, as torchvision's `ImageFolder`.
///
///     DIR/cat/1.ppm   DIR/cat/more/2.ppm   DIR/dog/1.pgm
///
/// A class is the place of its folder's name among the model's, or, where the model's are but numbers,
/// among the folders in the order of their bytes. A picture that cannot be read is skipped and reported.
struct ImageFolder {
  /// Paths of the pictures within the folder, bytewise sorted.
  let files: [String]
  private let path: String
  private let classes: [String: Int32]
  private let input: ImageInput
  private let fileLimit: Int

  /// Whether one of the files is a picture.
  static func holdsImages(_ files: [String]) -> Bool { files.contains(where: isImage) }

  private static func isImage(_ file: String) -> Bool {
    let name = file.lowercased()
    return PortableImage.suffixes.contains { name.hasSuffix($0) }
  }

  /// Looks at the names of a folder's files.
  ///
  /// - Parameters:
  ///   - labels: names of the model's classes; nil for the folders' own.
  ///   - fileLimit: bytes of a file at most.
  init(
    path: String,
    files all: [String],
    labels: [String]?,
    input: ImageInput,
    fileLimit: Int
  ) throws(DatasetError) {
    files = all.filter(Self.isImage)
    if let stray = files.first(where: { !$0.contains("/") }) {
      throw .arrays(
        file: "\(path)/\(stray)",
        reason: "a picture beside the folders of the classes; put it into that of its class"
      )
    }
    let folders = Set(files.map(Self.folder)).sorted {
      $0.utf8.lexicographicallyPrecedes($1.utf8)
    }
    classes = try Self.classes(folders, labels, path)
    self.path = path
    self.input = input
    self.fileLimit = fileLimit
  }

  /// The class of each folder.
  private static func classes(
    _ folders: [String],
    _ labels: [String]?,
    _ path: String
  ) throws(DatasetError) -> [String: Int32] {
    let order = Dictionary(uniqueKeysWithValues: folders.enumerated().map { ($1, Int32($0)) })
    guard let labels else { return order }
    let places = Dictionary(
      labels.enumerated().map { ($1, Int32($0)) },
      uniquingKeysWith: { first, _ in first }
    )
    guard let stranger = folders.first(where: { places[$0] == nil }) else { return places }
    let isNumbered = labels.enumerated().allSatisfy { $1 == "\($0)" || $1 == "LABEL_\($0)" }
    guard isNumbered, folders.count == labels.count else {
      throw .arrays(
        file: "\(path)/\(stranger)",
        reason: isNumbered
          ? "\(folders.count) folders for the model's \(labels.count) classes, which have no names"
          : "none of the model's classes: \(labels.prefix(8).joined(separator: ", "))"
            + (labels.count > 8 ? ", …" : "")
      )
    }
    return order
  }

  private static func folder(_ file: String) -> String {
    String(file.prefix { $0 != "/" })
  }

  /// The example of a file.
  func example(_ file: String) throws(RowFault) -> Example {
    do {
      let image = try PortableImage(try ModelFolder.bytes("\(path)/\(file)", limit: fileLimit))
      return Example(values: try input.values(image), classIndex: classes[Self.folder(file)])
    } catch let fault as ImageFault {
      throw RowFault(reason: fault.reason)
    } catch {
      throw RowFault(reason: "\(error)")
    }
  }

  /// What tells a file's example apart: its folder as `label`, or its path as `file`.
  func group(_ field: String, _ file: String) throws(DatasetError) -> String {
    switch field {
    case "label": return Self.folder(file)
    case "file": return file
    default:
      throw .arrays(file: path, reason: "pictures have no \(field) to go by, but label and file")
    }
  }
}

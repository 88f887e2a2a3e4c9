// Apache-2.0.
import Codecs
import Datasets
import ModelFiles
import TestSupport
import Testing

/// Folders of pictures to examples of values.
@Suite struct ImageFolderTests {
  /// A picture whose header has these words.
  static func picture(_ header: String, _ samples: [UInt8]) -> [UInt8] {
    Array(header.utf8) + samples
  }

  static let plain = ImageInput(height: 1, width: 2, channels: 3, mean: [0], deviation: [1])

  static func fault(_ bytes: [UInt8]) -> String? {
    do throws(ImageFault) {
      _ = try PortableImage(bytes)
      return nil
    } catch { return error.reason }
  }

  @Test func `samples come row by row, over the greatest one, whatever the header's blanks`() throws
  {
    let samples: [UInt8] = [0, 51, 102, 255, 153, 204]
    for header in ["P6\n2 1\n255\n", "P6 2\t1 255 ", "P6#a\n# b 7\n2#c\n 1\r\n255\n"] {
      let image = try PortableImage(Self.picture(header, samples))
      #expect((image.height, image.width, image.channels) == (1, 2, 3))
      #expect(try Self.plain.values(image) == [0, 0.2, 0.4, 1, 0.6, 0.8])
    }
    let grey = try PortableImage(Self.picture("P5 2 1 20 ", [5, 20]))
    #expect(try Self.plain.values(grey) == [0.25, 0.25, 0.25, 1, 1, 1])
  }

  @Test func `other extents are those of PyTorch's interpolation, normalised as ImageNet`() throws {
    let path = #filePath.split(separator: "/").dropLast(2).joined(separator: "/")
    let golden = try ModelFolder.json("/\(path)/Golden/images/resized.json")
    for item in try JSONField(golden, path: "").items() {
      func integer(_ key: String) throws -> Int { try item[key].integer() }
      func numbers(_ key: String) throws -> [Double] {
        try item[key].items().map { field throws in try field.number() }
      }
      let kind = try integer("channels") == 3 ? "P6" : "P5"
      let image = try PortableImage(
        Self.picture(
          "\(kind) \(try integer("width")) \(try integer("height")) \(try integer("maximum"))\n",
          try numbers("samples").map { UInt8($0) }
        )
      )
      let input = ImageInput(
        height: try integer("to_height"),
        width: try integer("to_width"),
        channels: 3
      )
      let (made, wanted) = (try input.values(image), try numbers("values"))
      #expect(made.count == wanted.count)
      #expect(zip(made, wanted).allSatisfy { abs(Double($0) - $1) < 2e-6 })
    }
  }

  @Test func `what is no picture says why`() {
    let hostile: [(bytes: [UInt8], reason: String)] = [
      ([], "P5 or P6"), (Self.picture("P3 1 1 255 ", [0]), "P5 or P6"),
      (Self.picture("P6", []), "no end"), (Self.picture("P61 1 255 ", [1]), "no blank"),
      (Self.picture("P5 0 1 255 ", [1]), "no width"),
      (Self.picture("P5 -1 1 255 ", [1]), "no width"),
      (Self.picture("P5 1 99999999999999999999 255 ", [1]), "above 65536"),
      (Self.picture("P5 1 1 65535 ", [1, 1]), "above 255"),
      (Self.picture("P5 1 1 0 ", [1]), "no greatest sample"),
      (Self.picture("P5 1 1 255", []), "no blank behind"),
      (Self.picture("P6 65536 65536 255 ", [1, 2, 3]), "need 12884901888"),
      (Self.picture("P5 2 2 255 ", [1, 2, 3]), "need 4"),
      (Self.picture("P5 2 1 9 ", [9, 10]), "a sample of 10"),
      (Self.picture("P5 # never ending", []), "no end"),
    ]
    for (bytes, reason) in hostile {
      #expect(Self.fault(bytes)?.contains(reason) == true, "\(reason): \(Self.fault(bytes) ?? "")")
    }
  }

  /// Two classes of a picture each and one that is cut off, in a folder within.
  private static func write(_ folder: TemporaryFolder) {
    _ = folder.write("dog/1.PPM", bytes: picture("P6 2 1 255 ", [0, 0, 0, 255, 255, 255]))
    _ = folder.write("cat/2.pgm", bytes: picture("P5 2 1 255 ", [255, 0]))
    _ = folder.write("cat/broken.pnm", bytes: picture("P6 2 1 255 ", [255, 0]))
    _ = folder.write("cat/notes.txt", "not a picture")
  }

  private static func read(
    _ folder: TemporaryFolder,
    labels: [String]?,
    input: ImageInput? = plain,
    format: String = "auto"
  ) throws -> Dataset {
    try DatasetReader(
      tokenizer: nil,
      images: input,
      format: format,
      maximumLength: 1,
      labels: labels,
      field: "label"
    ).read(path: folder.path)
  }

  @Test(arguments: ["auto", "images"])
  func `a folder's name is the class, and a broken picture is skipped`(format: String) throws {
    let folder = TemporaryFolder()
    Self.write(folder)
    for (labels, classes) in [
      (nil, [0, 1]), (["0", "1"], [0, 1]), (["LABEL_0", "LABEL_1"], [0, 1]),
      (["bird", "dog", "cat"], [2, 1]),
    ] as [([String]?, [Int32])] {
      let data = try Self.read(folder, labels: labels, format: format)
      #expect(data.examples.map(\.classIndex) == classes)
      #expect(data.examples.map(\.values) == [[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1]])
      #expect(data.groups == ["cat", "dog"])
      #expect(data.skipped.count == 1)
      #expect(data.skipped[0].reason.hasPrefix("cat/broken.pnm: 2 bytes of samples"))
    }
  }

  @Test func `a class the model has not, a stray picture and a model of texts are refused`() throws
  {
    let folder = TemporaryFolder()
    Self.write(folder)
    func reason(_ labels: [String]?, _ input: ImageInput? = Self.plain) -> String {
      do {
        _ = try Self.read(folder, labels: labels, input: input)
        return ""
      } catch { return "\(error)" }
    }
    #expect(reason(["cat", "bird"]).contains("dog: none of the model's classes: cat, bird"))
    #expect(reason(["0", "1", "2"]).contains("2 folders for the model's 3 classes"))
    #expect(reason(nil, nil).contains("reads no pictures"))
    _ = folder.write("stray.ppm", bytes: Self.picture("P6 1 1 255 ", [1, 2, 3]))
    #expect(reason(nil).contains("stray.ppm: a picture beside the folders"))
  }

  @Test func `colours are refused where a model reads grey`() throws {
    let image = try PortableImage(Self.picture("P6 1 1 255 ", [1, 2, 3]))
    let input = ImageInput(height: 1, width: 1, channels: 1)
    #expect(input.mean == [0.449])
    #expect(throws: ImageFault.self) { try input.values(image) }
  }
}

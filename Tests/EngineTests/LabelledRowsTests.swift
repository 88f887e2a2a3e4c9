// Apache-2.0.
import Codecs
import Datasets
import FineTuning
import Testing

@Suite("Batches with labels")
struct LabelledRowsTests {
  private func examples(_ text: String, isClassifier: Bool = false) throws -> [Example] {
    try LabelledRows(JSONValue.parse(Array(text.utf8)), isClassifier: isClassifier).examples
  }

  @Test("Rows lose their padding and keep what the loss counts")
  func rows() throws {
    let made = try examples(
      #"{"input_ids":[[5,6,0],[7,8,9]],"attention_mask":[[1,1,0],[1,1,1]],"#
        + #""labels":[[5,-100,-100],[-100,3,9]]}"#
    )
    #expect(made[0] == Example(tokens: [5, 6], labels: [5, -100]))
    #expect(made[1] == Example(tokens: [7, 8, 9], labels: [-100, 3, 9]))
    let classes = try examples(#"{"input_ids":[[5],[6]],"labels":[2,0]}"#, isClassifier: true)
    #expect(classes.map(\.classIndex) == [2, 0])
  }

  @Test(
    "What is no label is refused by path",
    arguments: [
      (#"{"input_ids":[[1]]}"#, "labels", false),
      (#"{"input_ids":[[1]],"labels":[]}"#, "labels", false),
      (#"{"input_ids":[[1]],"labels":[[1,2]]}"#, "labels[0]", false),
      (#"{"input_ids":[[1]],"labels":[[-1]]}"#, "labels[0][0]", false),
      (#"{"input_ids":[[1]],"labels":[[0.5]]}"#, "labels[0][0]", false),
      (
        #"{"input_ids":[[1,0]],"attention_mask":[[1,0]],"labels":[[1,0]]}"#, "labels[0][1]", false
      ), (#"{"input_ids":[[1]],"labels":[-1]}"#, "labels[0]", true),
      (#"{"input_ids":[[1]],"labels":[[1]]}"#, "labels[0]", true),
    ]
  )
  func refused(text: String, path: String, isClassifier: Bool) throws {
    let error = #expect(throws: JSONError.self) {
      try examples(text, isClassifier: isClassifier)
    }
    guard case .unexpected(let found, _) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(found == path)
  }
}

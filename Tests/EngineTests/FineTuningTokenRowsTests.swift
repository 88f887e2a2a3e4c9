// Apache-2.0.
import Codecs
import FineTuning
import Testing

@Suite("Batches of token rows")
struct TokenRowsTests {
  private func rows(_ text: String) throws -> TokenRows {
    try TokenRows(JSONValue.parse(Array(text.utf8)))
  }

  @Test("A mask gives lengths; without one nothing is padding")
  func lengths() throws {
    let masked = try rows(
      #"{"input_ids":[[5,6,0],[7,8,9]],"attention_mask":[[1,1,0],[1,1,1]]}"#
    )
    #expect(masked.ids == [[5, 6, 0], [7, 8, 9]])
    #expect(masked.lengths == [2, 3])
    #expect(try rows(#"{"input_ids":[[5,6],[0,1]],"attention_mask":null}"#).lengths == [2, 2])
  }

  @Test(
    "What is not a right-padded batch is refused by path",
    arguments: [
      (#"{}"#, "input_ids"), (#"{"input_ids":[]}"#, "input_ids"),
      (#"{"input_ids":[[1],[1,2]]}"#, "input_ids[1]"), (#"{"input_ids":[[]]}"#, "input_ids[0]"),
      (#"{"input_ids":[[1.5]]}"#, "input_ids[0][0]"), (#"{"input_ids":[[-1]]}"#, "input_ids[0][0]"),
      (#"{"input_ids":[[3000000000]]}"#, "input_ids[0][0]"),
      (#"{"input_ids":[[1]],"attention_mask":[[1],[1]]}"#, "attention_mask"),
      (#"{"input_ids":[[1,2]],"attention_mask":[[1]]}"#, "attention_mask[0]"),
      (#"{"input_ids":[[1,2]],"attention_mask":[[0,1]]}"#, "attention_mask[0]"),
      (#"{"input_ids":[[1,2]],"attention_mask":[[0,0]]}"#, "attention_mask[0]"),
      (#"{"input_ids":[[1,2]],"attention_mask":[[1,2]]}"#, "attention_mask[0][1]"),
    ]
  )
  func refused(text: String, path: String) throws {
    let error = #expect(throws: JSONError.self) { try rows(text) }
    guard case .unexpected(let found, _) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(found == path)
  }
}

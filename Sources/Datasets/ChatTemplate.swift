// Apache-2.0.
import ModelFiles

/// How conversations and instructions become one text.
///
/// The templates are built in and chosen by the model's special tokens; the program a model's
/// `chat_template` holds is not run.
public enum ChatTemplate: String, Sendable, CaseIterable {
  /// `<|im_start|>role\ncontent<|im_end|>\n`: Qwen, SmolLM and many others.
  case chatml
  /// `<|start_header_id|>role<|end_header_id|>\n\ncontent<|eot_id|>`: Llama 3.
  case llama3
  /// Headings `### Instruction:` and `### Response:`: for models without marks of their own.
  case alpaca

  /// The template whose marks the vocabulary has.
  static func recognised(by tokenizer: any Tokenizer) -> ChatTemplate {
    if tokenizer.id(of: "<|im_start|>") != nil { return .chatml }
    if tokenizer.id(of: "<|start_header_id|>") != nil { return .llama3 }
    return .alpaca
  }

  /// A text in parts, and which of them the loss counts.
  struct Part: Equatable {
    let text: String
    let isCounted: Bool
  }

  /// The parts of a conversation; what the assistant says is counted, with the mark that ends it.
  func parts(_ turns: [Turn]) -> [Part] {
    turns.enumerated().flatMap { index, turn in
      parts(turn, isFirst: index == 0, isLast: index == turns.count - 1)
    }
  }

  private func parts(_ turn: Turn, isFirst: Bool, isLast: Bool) -> [Part] {
    let isAnswer = turn.role == .assistant
    let name =
      switch turn.role {
      case .system: "system"
      case .user: "user"
      case .assistant: "assistant"
      }
    switch self {
    case .chatml:
      return [
        Part(text: "<|im_start|>\(name)\n", isCounted: false),
        Part(text: "\(turn.content)<|im_end|>", isCounted: isAnswer),
        Part(text: isLast ? "" : "\n", isCounted: false),
      ]
    case .llama3:
      return [
        Part(text: "<|start_header_id|>\(name)<|end_header_id|>\n\n", isCounted: false),
        Part(text: "\(turn.content)<|eot_id|>", isCounted: isAnswer),
      ]
    case .alpaca:
      let heading =
        switch turn.role {
        case .system: ""
        case .user: "### Instruction:\n"
        case .assistant: "### Response:"
        }
      return [
        Part(text: (isFirst ? "" : "\n\n") + heading, isCounted: false),
        Part(text: turn.content, isCounted: isAnswer),
      ]
    }
  }

  /// The parts of an instruction, in the words of Stanford Alpaca or as a conversation.
  func parts(instruction: String, input: String, output: String) -> [Part] {
    guard self == .alpaca else {
      let question = input.isEmpty ? instruction : "\(instruction)\n\n\(input)"
      return parts([
        Turn(role: .user, content: question), Turn(role: .assistant, content: output),
      ])
    }
    let prompt =
      input.isEmpty
      ? """
      Below is an instruction that describes a task. Write a response that appropriately \
      completes the request.

      ### Instruction:
      \(instruction)

      ### Response:
      """
      : """
      Below is an instruction that describes a task, paired with an input that provides further \
      context. Write a response that appropriately completes the request.

      ### Instruction:
      \(instruction)

      ### Input:
      \(input)

      ### Response:
      """
    return [Part(text: prompt, isCounted: false), Part(text: output, isCounted: true)]
  }
}

// Apache-2.0.
import Codecs
import FederatedCore
import WireProtocol

/// A kind and a body: what is read as a message is written as bytes that read as the same message.
let messageFuzzTarget = FuzzTarget("message") { bytes in
  guard let kind = bytes.first else { return }
  let body = Array(bytes.dropFirst())
  guard let message = try? Message(kind: kind, body: body) else { return }
  precondition(message.kind.rawValue == kind, "\(message.kind) for kind \(kind)")
  let again = try? Message(kind: kind, body: message.body)
  precondition(again == message, "\(message) is another message when it is written")
  if case .offer(let offer) = message,
    let run = try? RunConfiguration(decoding: offer.configuration)
  {
    let same = try? RunConfiguration(decoding: run.encoded)
    precondition(same == run, "a run file changes when it is written")
  }
}

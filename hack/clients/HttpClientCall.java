import java.io.FileInputStream;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.time.Duration;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/**
 * Calls the model that its argument names by the JDK's own HTTP client, configured by its environment alone: through the proxy where
 * a variable names one, else with a token of the metadata server. That client offers HTTP/2 with every request. It sends 3 MB, and
 * with --expect-continue waits for 100 Continue first. (Then Java 17 waits for ever when another answer comes, or over
 * HTTP/2.) Writes the answer to standard output; of another status than 200, with exit code 1.
 */
class HttpClientCall {
  public static void main(String[] arguments) throws Exception {
    Map<String, String> env = System.getenv();
    HttpClient client = HttpClient.newBuilder().sslContext(trust(env.get("SSL_CERT_FILE"))).build();

    String model = arguments[0];
    boolean claude = model.startsWith("claude-");
    String region = env.get(claude ? "CLOUD_ML_REGION" : "GOOGLE_CLOUD_LOCATION");
    String root = env.get("GOOGLE_VERTEX_BASE_URL");
    String base = claude ? env.get("ANTHROPIC_VERTEX_BASE_URL") : root == null ? null : root + "/v1";
    if (base == null) base = "https://" + region + "-aiplatform.googleapis.com/v1";
    String path = "/projects/" + env.get("GOOGLE_CLOUD_PROJECT") + "/locations/" + region + "/publishers/"
        + (claude ? "anthropic" : "google") + "/models/" + model + (claude ? ":rawPredict" : ":generateContent");
    String text = "x".repeat(3_000_000);
    String body = claude
        ? "{\"anthropic_version\":\"vertex-2023-10-16\",\"max_tokens\":64,\"messages\":[{\"role\":\"user\",\"content\":\"" + text + "\"}]}"
        : "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"" + text + "\"}]}]}";

    String metadata = "http://" + env.get("GCE_METADATA_HOST") + "/computeMetadata/v1/instance/service-accounts/default/token";
    HttpRequest question = HttpRequest.newBuilder(URI.create(metadata)).header("Metadata-Flavor", "Google").build();
    Matcher token = Pattern.compile("\"access_token\":\"([^\"]*)\"").matcher(send(client, question).body());
    if (!token.find()) throw new IllegalStateException("no token");

    HttpResponse<String> answer = send(client, HttpRequest.newBuilder(URI.create(base + path))
        .header("Authorization", "Bearer " + token.group(1))
        .header("Content-Type", "application/json")
        .timeout(Duration.ofSeconds(60))
        .expectContinue(arguments.length > 1 && arguments[1].equals("--expect-continue"))
        .POST(HttpRequest.BodyPublishers.ofString(body))
        .build());
    System.out.println(answer.body());
    System.exit(answer.statusCode() == 200 ? 0 : 1);
  }

  private static HttpResponse<String> send(HttpClient client, HttpRequest request) throws Exception {
    return client.send(request, HttpResponse.BodyHandlers.ofString());
  }

  /** Java does not read this variable, which makes other clients trust the test's certificate authority. */
  private static SSLContext trust(String file) throws Exception {
    KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
    store.load(null, null);
    try (InputStream input = new FileInputStream(file)) {
      for (Certificate certificate : CertificateFactory.getInstance("X.509").generateCertificates(input)) {
        store.setCertificateEntry("ca", certificate);
      }
    }
    TrustManagerFactory factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
    factory.init(store);
    SSLContext context = SSLContext.getInstance("TLS");
    context.init(null, factory.getTrustManagers(), null);
    return context;
  }
}

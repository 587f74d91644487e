import java.io.FileInputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.TrustManagerFactory;

/** Requests of Java's HttpClient with each version of TLS. Arguments: the file of the authority, and the URL. */
public class TlsClient {
    public static void main(String[] arguments) throws Exception {
        KeyStore authorities = KeyStore.getInstance(KeyStore.getDefaultType());
        authorities.load(null, null);
        try (FileInputStream file = new FileInputStream(arguments[0])) {
            authorities.setCertificateEntry(
                "root", CertificateFactory.getInstance("X.509").generateCertificate(file));
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(authorities);
        HttpClient client = null;
        for (String version : new String[] {"TLSv1.2", "TLSv1.3"}) {
            SSLContext context = SSLContext.getInstance("TLS");
            context.init(null, trust.getTrustManagers(), null);
            SSLParameters parameters = new SSLParameters();
            parameters.setProtocols(new String[] {version});
            client = HttpClient.newBuilder().sslContext(context).sslParameters(parameters).build();
            HttpRequest request = HttpRequest.newBuilder(URI.create(arguments[1] + "/hello")).build();
            HttpResponse<String> response = client.send(request, HttpResponse.BodyHandlers.ofString());
            System.out.println(
                response.sslSession().get().getProtocol() + " " + response.version() + " " + response.body().trim());
        }
        HttpRequest upload = HttpRequest.newBuilder(URI.create(arguments[1] + "/echo"))
            .POST(HttpRequest.BodyPublishers.ofString("x".repeat(1_000_000))).build();
        System.out.println(client.send(upload, HttpResponse.BodyHandlers.ofString()).body().length());
    }
}

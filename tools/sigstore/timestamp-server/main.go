// Command timestamp-server is Sigstore's timestamp authority (RFC 3161) with a key and a chain from files, and takes
// those options of the released program that this needs.
//
// It is the server of github.com/sigstore/timestamp-authority without its listener for metrics, whose port cannot be
// chosen: the released program ends where another one has port 2112, and the tests run several beside each other.
package main

import (
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/sigstore/timestamp-authority/v2/pkg/server"
	"github.com/spf13/viper"
)

func main() {
	host := flag.String("host", "127.0.0.1", "address to listen on")
	port := flag.Int("port", 3000, "port to listen on")
	chain := flag.String("certificate-chain-path", "", "PEM file, from the certificate that signs timestamps up to its root")
	key := flag.String("file-signer-key-path", "", "PEM file of the key that signs timestamps")
	signer := flag.String("timestamp-signer", "", "where the key is: file")
	unmonitored := flag.Bool("disable-ntp-monitoring", false, "has to be given: the clock is not compared with others")
	if len(os.Args) < 2 || os.Args[1] != "serve" {
		fmt.Fprintln(os.Stderr, "usage: timestamp-server serve OPTIONS")
		os.Exit(2)
	}
	_ = flag.CommandLine.Parse(os.Args[2:]) // ends the program where it fails
	if *chain == "" || *key == "" || *signer != "file" || !*unmonitored || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}

	// The server reads its settings from viper; these are the defaults of the released program.
	policy := "1.3.6.1.4.1.57264.2"
	viper.Set("timestamp-signer", "file")
	viper.Set("timestamp-signer-hash", "sha256")
	viper.Set("file-signer-key-path", *key)
	viper.Set("certificate-chain-path", *chain)
	viper.Set("enforce-intermediate-eku", true)
	viper.Set("default-policy-oid", policy)
	viper.Set("accepted-policy-oids", []string{policy})
	viper.Set("max-request-body-size", uint64(1048576))

	service := server.NewRestAPIServer(*host, *port, []string{"http"}, false, 30*time.Second, 30*time.Second)
	service.CleanupTimeout = time.Second
	if err := service.Serve(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

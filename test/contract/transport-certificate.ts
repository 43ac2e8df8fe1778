/** A throw-away identity for servers of tests: valid for localhost and the loopback addresses, trusted by nobody. */
export const testKey = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg0aSgTMH6uEKvpY5B
keI3YkekJtEe0CHttW43qazW+VehRANCAASymQnMvh5EvCS6bRWd0eR4xV2QCHuF
27/mAocn1czkbNUQwTrIyH4NqpfwXVL50+NELn7yhu3xPAeJSy7KWWAx
-----END PRIVATE KEY-----
`;

/** Signs itself, so it is also the `ca` that a client has to be given. */
export const testCertificate = `-----BEGIN CERTIFICATE-----
MIIBijCCATGgAwIBAgIBATAKBggqhkjOPQQDAjAdMRswGQYDVQQDDBJvc3MtcG9w
dWxhdG9yIHRlc3QwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMB0x
GzAZBgNVBAMMEm9zcy1wb3B1bGF0b3IgdGVzdDBZMBMGByqGSM49AgEGCCqGSM49
AwEHA0IABLKZCcy+HkS8JLptFZ3R5HjFXZAIe4Xbv+YChyfVzORs1RDBOsjIfg2q
l/BdUvnT40QufvKG7fE8B4lLLspZYDGjYDBeMCwGA1UdEQQlMCOCCWxvY2FsaG9z
dIcEfwAAAYcQAAAAAAAAAAAAAAAAAAAAATAPBgNVHRMBAf8EBTADAQH/MB0GA1Ud
DgQWBBQ2cIQdZProoZR2wOadE0u9gH+ggTAKBggqhkjOPQQDAgNHADBEAiBEm1rG
GoZItBmT/WCjzcfRaYp/7wPpeIBF8aRyspfisQIgbGkVOwz1r8PP2Odn7YyQu55N
JrsLtaFoJuXQX8M50/I=
-----END CERTIFICATE-----
`;

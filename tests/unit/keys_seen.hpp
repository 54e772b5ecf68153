#pragma once
// Keys as ssh-keygen has made them and signatures as ssh-agent (OpenSSH 9.2) has, with the
// middleware of tests/sk. All are over these bytes.

namespace vigil::test {

inline constexpr const char* signed_bytes = "signed for a test";

inline constexpr const char* ed25519_line =
    "sk-ssh-ed25519@openssh.com "
    "AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIO5OPDkzx9OhtCtuIfHy7GaV+"
    "m8XGWOu653PzV9cWRsoAAAABHNzaDo= my ed25519-sk";
inline constexpr const char* ed25519_fingerprint =
    "SHA256:ce2cpm80w/+b3/IQxYAnURoKTXJ//DdmHDrhu2xFfvs";
inline constexpr const char* ecdsa_line =
    "sk-ecdsa-sha2-nistp256@openssh.com "
    "AAAAInNrLWVjZHNhLXNoYTItbmlzdHAyNTZAb3BlbnNzaC5jb20AAAAIbmlzdHAyNTYAAABBBCT1YsYOJPsQwNKOXeOkGU"
    "pNv09xSymQjUptyfDf0j/Dn4S1uQl9c0BNkViipSS6mSwwiarDcVPlsDPxSuCf+T4AAAAEc3NoOg== my ecdsa-sk";
inline constexpr const char* ecdsa_fingerprint =
    "SHA256:y8hDAdnMjUwsaYC8F8wMMHF2M6YJc8HEqIjkNQiAvkg";
/// Of the application "ssh:vigil".
inline constexpr const char* own_application_line =
    "sk-ssh-ed25519@openssh.com "
    "AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIAa+SssDwzjhsh7jj1rtCR2/"
    "ax878FeEUGy80FgeIWmeAAAACXNzaDp2aWdpbA==";
inline constexpr const char* plain_line =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOerdZEl5fPQfsqJqD6xM3fDmdVXtFTD3s4H+gD7eRii plain";
inline constexpr const char* rsa_line =
    "ssh-rsa "
    "AAAAB3NzaC1yc2EAAAADAQABAAABgQDPUptuc+1hqtl3OZjfSxPrzm5TMhQ+"
    "NoYZpxO4i4wslFNB20rQEpIefqGhiSkgmiUoCxK1ockooiQ22NtCBcR/zxWGegu08Ho1fmFh5NMU7DMNF/"
    "EnbqW6t0Vl2q4+dooTVwcLLUNVLt0pqawUUeP8O960TAGpc4cU1NYzO4TrP3SV6h1CZvUE+"
    "LIcFx11jZQmwIjvJK5uCq3xkVYEGwLi1GhqPh0WMYrCgLYN2M301f0u5LqFxYUCHwUzYbssDQAz/"
    "ZNFF3Ifk1v76AP8pLGfJuITEt7hgAVgHC1K/gngJFZyL3IsMSrF6lQQa79i0bxW2AHf2qNY1cJa7TnekwUM30fRkTOG/"
    "+q0fnxwCrgv0WbYrNaPHuDXRGj6PiJy9S+FcarbWrzet3cCMZyG+fNvY9lffFeesP1xt3HIXa1ni2L8zj+TpWH/"
    "QkdcOSoSTMgI0tBnAqKQIRS4a02xfnzBDgYbsNscyFDXBm9sYcC6wG6h6hdHfeQfP823lA6njc8=";
/// Of the first, signed by the plain one.
inline constexpr const char* certificate_line =
    "sk-ssh-ed25519-cert-v01@openssh.com "
    "AAAAI3NrLXNzaC1lZDI1NTE5LWNlcnQtdjAxQG9wZW5zc2guY29tAAAAINXXw8zUDiCyeYB1kUVTm0V9TDV2FqHcW91S4g"
    "jvzVDxAAAAIO5OPDkzx9OhtCtuIfHy7GaV+"
    "m8XGWOu653PzV9cWRsoAAAABHNzaDoAAAAAAAAAAAAAAAEAAAABeAAAAAAAAAAAAAAAAP//////////"
    "AAAAAAAAAIIAAAAVcGVybWl0LVgxMS1mb3J3YXJkaW5nAAAAAAAAABdwZXJtaXQtYWdlbnQtZm9yd2FyZGluZwAAAAAAAA"
    "AWcGVybWl0LXBvcnQtZm9yd2FyZGluZwAAAAAAAAAKcGVybWl0LXB0eQAAAAAAAAAOcGVybWl0LXVzZXItcmMAAAAAAAAA"
    "AAAAADMAAAALc3NoLWVkMjU1MTkAAAAg56t1kSXl89B+"
    "yomoPrEzd8OZ1Ve0VMPezgf6APt5GKIAAABTAAAAC3NzaC1lZDI1NTE5AAAAQCTW/Ll6YXh/sgzMX/"
    "lfxA2G+svj8BJm0hjLqQQ/FcmhoQCvYWNXXj8Nko8rjrg4a2RCL9AX5o0D0XTYSHeetQs=";

inline constexpr const char* ed25519_signature = // flags 1, counter 1
    "AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAQBujoEngBUIbZU8VAUUAODR9YyNNqhljPlKmxvZ7YDpsumhFPA"
    "PpDxAPE7qh5kXdn91m4qvDcPFCiG3q/KIPCQMBAAAAAQ==";
inline constexpr const char* ecdsa_signature = // flags 1, counter 1
    "AAAAInNrLWVjZHNhLXNoYTItbmlzdHAyNTZAb3BlbnNzaC5jb20AAABIAAAAIENbpuufdM+"
    "nyfM4E0hTcZ8GFCzTomAafEoeUuFcJhoVAAAAIGzwoQJKIbZazuoO8oANn6oiDjSLz0kU+w1EZb7svNvcAQAAAAE=";
inline constexpr const char* verified_signature = // of ed25519_line, flags 5
    "AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAQANmBQvqogtBVSI4qnUeXsmBCvk2y7UbvkCPoO8qCGvOvsz3br"
    "KD9Zaze4MkgRGhAdy9lIHzJjoiSsfXfYap2wgFAAAAAQ==";
inline constexpr const char* untouched_signature = // the same, flags 4
    "AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAQGdAtYjALHFrOgSZJlNY1w1nJfBX9U53KjvyU9XOwZlEHHlg3A"
    "l+AJhPzGdL1duHV+UxHxYYfvC3u0CPUHBz/AQEAAAAAQ==";

} // namespace vigil::test

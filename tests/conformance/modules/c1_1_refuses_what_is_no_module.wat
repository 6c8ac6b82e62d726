;;! bytes 7f454c4602010100
;;! refuse invalid "not a WebAssembly module"
;; The head of an ELF file.

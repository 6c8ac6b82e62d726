;;! bytes 0061736d0d000100
;;! refuse unsupported component model
;; The head of a component-model binary.

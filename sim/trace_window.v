// From when it is first open, Verilator dumps what changes to trace.vcd; it is counted while
// counting is 1. (Verilator has no $dumpoff: what comes between two windows is dumped, too.)

module trace_window(input clk, input open);
  reg counting = 0, dumping = 0;
  always @(posedge clk) begin
    counting <= open;
    if (open && !dumping) begin
      $dumpfile("trace.vcd");
      $dumpvars;
      dumping <= 1;
    end
  end
endmodule

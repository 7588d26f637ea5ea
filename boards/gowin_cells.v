// Behaviour of Gowin's hard cells, as far as the accelerator uses them: memories that start with
// zeros and give what they read without another register, and multipliers without any.

module gowin_ram #(parameter BYTE = 9, WIDTH_A = 18, WIDTH_B = 18, MODE_A = 0, MODE_B = 0) (
  input clka, cea, wra, rsta, input [13:0] ada, input [35:0] dia, output [35:0] doa,
  input clkb, ceb, wrb, rstb, input [13:0] adb, input [35:0] dib, output [35:0] dob
);
  // Bits of a byte lie at eight addresses, whether it has eight or nine of them.
  reg [BYTE-1:0] memory[0:2047];
  reg [35:0] held_a, held_b;
  integer k;
  initial begin
    held_a = 0;
    held_b = 0;
    for (k = 0; k < 2048; k = k + 1) memory[k] = 0;
  end

  function [35:0] word(input [13:0] address, input integer width);
    integer i;
    begin
      word = 0;
      if (width < 8) word = (memory[address[13:3]] >> address[2:0]) & ((1 << width) - 1);
      else for (i = 0; i * BYTE < width; i = i + 1)
        word[i*BYTE +: BYTE] = memory[address[13:3] / (width / BYTE) * (width / BYTE) + i];
    end
  endfunction

  // From 16 bits on, the lowest bits of an address tell which bytes are written.
  task write(input [13:0] address, input integer width, input [35:0] data);
    integer i;
    begin
      if (width < 8) for (i = 0; i < width; i = i + 1)
        memory[address[13:3]][address[2:0] + i] = data[i];
      else for (i = 0; i * BYTE < width; i = i + 1)
        if (width < 2 * BYTE || address[i])
          memory[address[13:3] / (width / BYTE) * (width / BYTE) + i] = data[i*BYTE +: BYTE];
    end
  endtask

  // Where it writes, a port keeps what it read (mode 0), or gives the word after (1) or before (2).
  reg [35:0] next_a, next_b;
  always @(posedge clka) begin
    next_a = held_a;
    next_b = held_b;
    if (cea && (!wra || MODE_A == 2)) next_a = word(ada, WIDTH_A);
    if (ceb && (!wrb || MODE_B == 2)) next_b = word(adb, WIDTH_B);
    if (cea && wra) write(ada, WIDTH_A, dia);
    if (ceb && wrb) write(adb, WIDTH_B, dib);
    if (cea && wra && MODE_A == 1) next_a = word(ada, WIDTH_A);
    if (ceb && wrb && MODE_B == 1) next_b = word(adb, WIDTH_B);
    held_a <= rsta ? 36'b0 : next_a;
    held_b <= rstb ? 36'b0 : next_b;
  end
  assign doa = held_a;
  assign dob = held_b;
endmodule

module SP (
  input CLK, CE, WRE, RESET, OCE, input [2:0] BLKSEL, input [13:0] AD, input [31:0] DI,
  output [31:0] DO
);
  parameter READ_MODE = 0, WRITE_MODE = 0, BIT_WIDTH = 32, BLK_SEL = 0, RESET_MODE = "SYNC";
  wire [35:0] o;
  assign DO = o[31:0];
  gowin_ram #(.BYTE(8), .WIDTH_A(BIT_WIDTH), .MODE_A(WRITE_MODE)) ram (
    .clka(CLK), .cea(CE), .wra(WRE), .rsta(RESET), .ada(AD), .dia({4'b0, DI}), .doa(o),
    .clkb(CLK), .ceb(1'b0), .wrb(1'b0), .rstb(1'b0), .adb(14'b0), .dib(36'b0), .dob()
  );
endmodule

module SPX9 (
  input CLK, CE, WRE, RESET, OCE, input [2:0] BLKSEL, input [13:0] AD, input [35:0] DI,
  output [35:0] DO
);
  parameter READ_MODE = 0, WRITE_MODE = 0, BIT_WIDTH = 36, BLK_SEL = 0, RESET_MODE = "SYNC";
  gowin_ram #(.BYTE(9), .WIDTH_A(BIT_WIDTH), .MODE_A(WRITE_MODE)) ram (
    .clka(CLK), .cea(CE), .wra(WRE), .rsta(RESET), .ada(AD), .dia(DI), .doa(DO),
    .clkb(CLK), .ceb(1'b0), .wrb(1'b0), .rstb(1'b0), .adb(14'b0), .dib(36'b0), .dob()
  );
endmodule

module DPX9B (
  input CLKA, CEA, WREA, RESETA, OCEA, input [2:0] BLKSELA, input [13:0] ADA, input [17:0] DIA,
  output [17:0] DOA,
  input CLKB, CEB, WREB, RESETB, OCEB, input [2:0] BLKSELB, input [13:0] ADB, input [17:0] DIB,
  output [17:0] DOB
);
  parameter READ_MODE0 = 0, READ_MODE1 = 0, WRITE_MODE0 = 0, WRITE_MODE1 = 0, BIT_WIDTH_0 = 18,
    BIT_WIDTH_1 = 18, BLK_SEL_0 = 0, BLK_SEL_1 = 0, RESET_MODE = "SYNC";
  wire [35:0] a, b;
  assign DOA = a[17:0];
  assign DOB = b[17:0];
  gowin_ram #(.BYTE(9), .WIDTH_A(BIT_WIDTH_0), .WIDTH_B(BIT_WIDTH_1), .MODE_A(WRITE_MODE0),
              .MODE_B(WRITE_MODE1)) ram (
    .clka(CLKA), .cea(CEA), .wra(WREA), .rsta(RESETA), .ada(ADA), .dia({18'b0, DIA}), .doa(a),
    .clkb(CLKB), .ceb(CEB), .wrb(WREB), .rstb(RESETB), .adb(ADB), .dib({18'b0, DIB}), .dob(b)
  );
endmodule

module SDPX9B (
  input CLKA, CEA, RESETA, input [2:0] BLKSELA, input [13:0] ADA, input [35:0] DI,
  input CLKB, CEB, RESETB, OCE, input [2:0] BLKSELB, input [13:0] ADB, output [35:0] DO
);
  parameter READ_MODE = 0, BIT_WIDTH_0 = 36, BIT_WIDTH_1 = 36, BLK_SEL_0 = 0, BLK_SEL_1 = 0,
    RESET_MODE = "SYNC";
  gowin_ram #(.BYTE(9), .WIDTH_A(BIT_WIDTH_0), .WIDTH_B(BIT_WIDTH_1)) ram (
    .clka(CLKA), .cea(CEA), .wra(1'b1), .rsta(1'b0), .ada(ADA), .dia(DI), .doa(),
    .clkb(CLKB), .ceb(CEB), .wrb(1'b0), .rstb(RESETB), .adb(ADB), .dib(36'b0), .dob(DO)
  );
endmodule

module MULT18X18 (
  input CLK, CE, RESET, ASEL, BSEL, ASIGN, BSIGN, input [17:0] A, B, SIA, SIB, output [35:0] DOUT
);
  wire signed [18:0] a = {ASIGN & A[17], A}, b = {BSIGN & B[17], B};
  wire signed [37:0] product = a * b;
  assign DOUT = product[35:0];
endmodule
